"""Reweighting: which training clips count more, and which count for nothing."""

from dfer.reweight.agreement import (
    HARD,
    NOISY,
    ORDINARY,
    VERDICTS,
    AgreementReweighting,
    RankBy,
    clip_agreement,
    verdicts,
)

__all__ = ["HARD", "NOISY", "ORDINARY", "VERDICTS", "AgreementReweighting", "RankBy", "clip_agreement", "verdicts"]
