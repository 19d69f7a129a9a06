"""What an audit is worth, against what drawn faces tell: ``dfer audit --truth``."""

import json
import math
import shutil
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from torch import Tensor, nn

from dfer.cli import main
from dfer.datasets import SyntheticFaces
from dfer.errors import InputError
from dfer.evaluation.known_truth import (
    Judged,
    auroc,
    by_agreement_and_loss,
    by_confident_learning,
    by_loss,
    centre_error,
    detection,
    hard_share,
    measure,
)
from dfer.evaluation.suspicion import audit_run
from dfer.reweight import HARD, NOISY, verdicts
from dfer.runs import RunFolder


def slow_auroc(score: np.ndarray, positive: np.ndarray) -> float:
    pairs = list(product(score[positive].tolist(), score[~positive].tolist()))
    return sum(1.0 if one > other else 0.5 if one == other else 0.0 for one, other in pairs) / len(pairs)


@pytest.mark.parametrize("ties", [3, 1000])
def test_measures_of_detection_against_pairs_and_sklearn(ties: int) -> None:
    rng = np.random.default_rng(ties)
    wrong = rng.random(80) < 0.2
    score = np.rint(rng.random(80) * ties) + wrong
    flagged = score > np.quantile(score, 0.7)
    found = detection(wrong, flagged, score)
    assert found.auroc == pytest.approx(slow_auroc(score, wrong))
    assert found.auroc == pytest.approx(roc_auc_score(wrong, score))
    assert found.precision == pytest.approx(precision_score(wrong, flagged))
    assert found.recall == pytest.approx(recall_score(wrong, flagged))
    assert (found.clips, found.wrong, found.flagged) == (80, wrong.mean(), flagged.mean())


def test_what_cannot_be_measured_is_none_and_no_zero() -> None:
    none, score = np.zeros(4, bool), np.arange(4.0)
    found = detection(none, none, score)
    assert (found.precision, found.recall, found.auroc) == (None, None, None)
    found = detection(~none, none, score)
    assert (found.precision, found.recall, found.auroc) == (None, 0.0, None)
    assert auroc(score, ~none) is None


def test_all_methods_flag_and_score_the_same_clips_their_own_way() -> None:
    rng = np.random.default_rng(0)
    agreement, loss = rng.integers(1, 5, 100) / 4, rng.exponential(size=100)
    judged = Judged(agreement, loss, verdicts(agreement, loss).numpy())
    flagged, score = by_agreement_and_loss(judged)
    np.testing.assert_array_equal(flagged, judged.verdict == NOISY)
    assert set(np.argsort(-score)[:10]) == set(np.flatnonzero(flagged))
    assert agreement[np.argmin(score)] == agreement[judged.verdict == HARD].max()  # the least suspicious comes last
    flagged, score = by_loss(judged)
    assert sorted(np.flatnonzero(flagged)) == sorted(sorted(range(100), key=lambda i: -loss[i])[:10])
    np.testing.assert_array_equal(score, loss)


def test_confident_learning_finds_planted_wrong_labels() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(3, size=150)
    label = np.where(np.arange(150) < 15, (true + 1) % 3, true)
    logits = 4.0 * np.eye(3)[true] + rng.normal(0, 0.5, (150, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    learnt = by_confident_learning(label, probabilities)
    assert learnt is not None
    found = detection(np.arange(150) < 15, *learnt)
    assert found.precision == found.recall == found.auroc == 1.0
    np.testing.assert_allclose(-learnt[1], probabilities[np.arange(150), label])


def test_shares_of_hard_clips_against_plain_counting() -> None:
    rng = np.random.default_rng(0)
    hard, distractor, wrong = (rng.random(50) < share for share in (0.3, 0.4, 0.1))
    peak = np.where(rng.random(50) < 0.2, 0.0, rng.random(50))
    found = hard_share(hard, peak, distractor, wrong)
    shown = sorted((i for i in range(50) if peak[i] > 0), key=lambda i: peak[i])
    groups = {"all": range(50), "shown": shown, "weak": shown[: len(shown) // 3]}
    groups |= {"distractor": np.flatnonzero(distractor), "wrong": np.flatnonzero(wrong)}
    for name, group in groups.items():
        assert getattr(found, name) == pytest.approx(sum(hard[i] for i in group) / len(group))
    assert hard_share(hard, peak, distractor, np.zeros(50, bool)).wrong is None


def test_centre_errors_against_plain_loops() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(20, 49, 40).astype(float)
    centre = rng.uniform(0.1, 0.8, 40) * frames
    mu = np.clip(centre / frames + rng.normal(0, 0.1, 40), 0, 1)
    found = centre_error(mu, centre, frames)
    slow = [abs(m * t - c) for m, t, c in zip(mu, frames, centre)]
    assert found.error == pytest.approx(sum(slow) / 40)
    assert found.middle == pytest.approx(sum(abs(t / 2 - c) for t, c in zip(frames, centre)) / 40)
    grid = [sum(abs(g * t - c) for t, c in zip(frames, centre)) / 40 for g in np.linspace(0, 1, 20001)]
    assert found.constant == pytest.approx(min(grid), abs=1e-3)
    assert found.constant <= min(grid)
    assert found.correlation == pytest.approx(np.corrcoef(mu, centre / frames)[0, 1])
    assert centre_error(np.full(40, 0.5), centre, frames).correlation is None
    assert centre_error(np.full(40, 0.5), centre, frames).error == pytest.approx(found.middle)


def test_a_run_is_measured_on_what_it_was_trained_on(own_drawn: RunFolder) -> None:
    found = audit_run(own_drawn)
    measured = measure(found)
    faces = SyntheticFaces("train", 32, preset="wild", clips=60, cache=False)
    table = found.table
    used = table[~table["held_out"]]
    row = {clip: at for at, clip in enumerate(faces.clip_ids)}
    wrong = np.array([faces.truth["noisy"][row[clip]] for clip in used["clip_id"]])
    noisy = (used["verdict"] == "noisy").to_numpy()
    own = measured.detection["best model", "agreement + loss"]
    assert own.clips == len(used) < 60
    assert wrong.sum() > 1
    assert own.precision == pytest.approx((wrong & noisy).sum() / noisy.sum())
    assert own.auroc == pytest.approx(slow_auroc(-np.arange(len(used)), wrong))
    loss = measured.detection["best model", "loss alone"]
    assert loss.auroc == pytest.approx(slow_auroc(used["loss"].to_numpy(), wrong))
    assert loss.flagged == own.flagged
    assert ("best model", "confident learning") in measured.detection
    assert list(measured.hard) == ["best model"]
    assert measured.hard["best model"].all == pytest.approx((used["verdict"] == "hard").mean())
    assert measured.centre is None  # this model locates nothing


def test_the_record_of_the_training_is_measured_too(own_drawn: RunFolder) -> None:
    faces = SyntheticFaces("train", 32, preset="wild", clips=60, cache=False)
    held_out = own_drawn.read_manifest()["data"]["held_out_rows"]
    lines = [
        f"{faces.clip_ids[row]},x,{0.5 if row % 5 == 0 else 1.0},{9.0 if faces.truth['noisy'][row] else 0.1},ordinary"
        for row in range(60)
        if row not in held_out
    ]
    own_drawn.agreement.write_text("\n".join(["clip_id,label,agreement,loss,verdict", *lines]) + "\n")
    measured = measure(audit_run(own_drawn, fractions=(0.0, 0.1)))
    loss = measured.detection["in training", "loss alone"]
    assert loss.clips == len(lines)
    assert loss.auroc == 1.0
    both = measured.detection["in training", "agreement + loss"]
    assert both.flagged == pytest.approx(math.floor(len(lines) / 10) / len(lines))  # judged anew, by these shares
    assert both.auroc is not None
    assert both.auroc < 1
    assert measured.hard["in training"].all == 0


class Locates(nn.Module):
    """Find the middle of the frames that are brighter than the rest, as a stand-in for a detector."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.detector = nn.Identity()
        self.offset = 0.25

    def locate(self, clip: Tensor) -> SimpleNamespace:
        return SimpleNamespace(centre=torch.full((len(clip),), self.offset))


def test_a_detected_centre_is_measured_on_the_test_clips_that_show_one(own_drawn: RunFolder) -> None:
    found = audit_run(own_drawn)
    loaded = replace(found.source.loaded, model=Locates(found.source.loaded.model))
    centre = measure(replace(found, source=replace(found.source, loaded=loaded))).centre
    truth = SyntheticFaces("test", 32, preset="wild", clips=60, cache=False).truth
    shown = truth[truth["centre"].notna()]
    assert centre is not None
    assert centre.clips == len(shown) < len(truth)
    assert centre.error == pytest.approx((0.25 * shown["frames"] - shown["centre"]).abs().mean())
    assert centre.middle == pytest.approx((0.5 * shown["frames"] - shown["centre"]).abs().mean())
    assert centre.correlation is None
    loaded.model.detector = None  # re-sampling switched off
    assert measure(replace(found, source=replace(found.source, loaded=loaded))).centre is None


def test_the_command_averages_runs_that_differ_in_their_seed(
    own_drawn: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RunFolder(Path(shutil.copytree(own_drawn.path, tmp_path / "other")))
    config = other.config.read_text()
    other.config.write_text(config.replace("seed_everything: 0", "seed_everything: 1"))
    third = RunFolder(Path(shutil.copytree(own_drawn.path, tmp_path / "third")))
    third.config.write_text(config.replace("label_smoothing: 0.0", "label_smoothing: 0.1"))
    assert config not in (other.config.read_text(), third.config.read_text())
    command = ["audit", *(str(run.path) for run in (own_drawn, other, third)), "--truth"]
    assert main([*command, "--title", "plain", "--title", "smooth", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))
    rows = {(row["run"], row["by"]): row for row in found["wrong_labels"]}
    assert {key[0]: row["runs"] for key, row in rows.items()} == {"plain": 2, "smooth": 1}
    for by in ("agreement + loss", "loss alone", "confident learning"):
        assert rows["plain", by]["AUROC"]["mean"] == pytest.approx(rows["smooth", by]["AUROC"])
        assert rows["plain", by]["AUROC"]["deviation"] == 0
    assert main([*command, "--format", "markdown"]) == 0
    shown = capsys.readouterr().out
    assert "### Wrong labels found" in shown
    assert "| drawn | loss alone" in shown.replace("  ", " ")
    assert "± 0.000" in shown
    assert not own_drawn.audit_page.exists()
    assert not own_drawn.audit.exists()  # the page and the list go together


def test_the_command_printed_makes_the_same_table(own_drawn: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--hard-fraction", "0.3", "--noisy-fraction", "0.05"]
    assert main(["audit", str(own_drawn.path), "--truth", *options, "--format", "markdown"]) == 0
    assert f"dfer audit {own_drawn.path} --truth --hard-fraction 0.3 --noisy-fraction 0.05\n" in capsys.readouterr().out


def test_titles_are_of_settings(own_drawn: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(own_drawn.path), "--truth", "--title", "a", "--title", "b"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "2 titles for 1 settings" in line
    assert str(own_drawn.path) in line


def test_without_cleanlab_the_rest_is_measured_and_a_line_says_so(
    own_drawn: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    assert main(["audit", str(own_drawn.path), "--truth", "--format", "markdown"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "cleanlab is not installed; `pip install cleanlab`" in shown
    assert "| loss alone" in shown
    assert "| confident learning" not in shown


def test_clips_that_are_not_drawn_have_no_known_truth(
    own_parted: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", str(own_parted.path), "--truth"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "trained on FolderClips; --truth is for drawn faces alone" in line


def test_a_record_that_only_some_runs_have_is_one_line(own_drawn: RunFolder, tmp_path: Path) -> None:
    from dfer.evaluation.known_truth import truth_text

    other = RunFolder(Path(shutil.copytree(own_drawn.path, tmp_path / "other")))
    other.agreement.write_text("clip_id,label,agreement,loss,verdict\ntrain-00000,sad,1.0,0.5,ordinary\n")
    with pytest.raises(InputError, match=r"agreement\.csv, others not"):
        truth_text([audit_run(own_drawn), audit_run(other)], (), "terminal")
