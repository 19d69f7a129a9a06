"""Reweighting: which training clips count more, and which count for nothing."""

from dfer.reweight.agreement import AgreementReweighting, clip_agreement
from dfer.reweight.ranks import HARD, NOISY, ORDINARY, VERDICTS, RankBy, verdicts

__all__ = ["HARD", "NOISY", "ORDINARY", "VERDICTS", "AgreementReweighting", "RankBy", "clip_agreement", "verdicts"]
