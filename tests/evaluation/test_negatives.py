"""The weight left on negatives, against plain loops, and as a table."""

import csv
import io
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import InputError
from dfer.evaluation.negatives import comma_separated, markdown, negatives, negatives_of
from dfer.losses.robust_supcon import Kernel
from dfer.runs import RunFolder

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "negatives.py"


def slow(z: NDArray[np.float64], label: list[int], kernel: Kernel, eta: float) -> tuple[float, float, float]:
    """One batch of all clips; clips without a positive are no anchors."""
    weights, parts = [], []
    for i in range(len(z)):
        if label.count(label[i]) < 2:
            continue
        held = whole = 0.0
        for a in range(len(z)):
            if a == i:
                continue
            cosine = float(z[i] @ z[a] / np.linalg.norm(z[i]) / np.linalg.norm(z[a]))
            s = cosine / 0.07 if kernel == "tempered" else cosine
            w = 1.0 if kernel == "none" else math.exp(-((s - eta) ** 2) / (2 * eta**2))
            if label[a] != label[i]:
                weights.append(w)
                held += w * math.exp(cosine / 0.07)
                whole += w * math.exp(cosine / 0.07)
            else:
                whole += math.exp(cosine / 0.07)
        parts.append(held / whole)
    return float(np.mean(weights)), float(np.mean([w > 0.01 for w in weights])), float(np.mean(parts))


@pytest.fixture
def clips() -> tuple[NDArray[np.float64], list[int]]:
    label = [0, 0, 0, 1, 1, 2, 2, 2, 3]
    centre = np.random.default_rng(0).normal(size=(4, 6))
    return centre[label] + np.random.default_rng(1).normal(size=(9, 6)), label


@pytest.mark.parametrize("eta", [0.1, 0.2, 1.0])
def test_equals_the_loops(clips: tuple[NDArray[np.float64], list[int]], eta: float) -> None:
    shares = negatives(*clips, etas=[eta], rounds=2).shares
    assert [(share.kernel_on, share.eta) for share in shares] == [("tempered", eta), ("cosine", eta), ("none", None)]
    for share in shares:
        found = (share.weight, share.above, share.denominator)
        assert found == pytest.approx(slow(*clips, share.kernel_on, eta))


def test_the_cosines_are_those_between_classes(clips: tuple[NDArray[np.float64], list[int]]) -> None:
    z, label = clips
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    cosines = [unit[i] @ unit[j] for i in range(8) for j in range(9) if label[i] != label[j]]  # the last is no anchor
    expected = (np.mean(cosines), *np.percentile(cosines, [5, 95]))
    assert negatives(*clips, rounds=1).cosine == pytest.approx(expected)


def test_batches_are_of_the_size_and_another_seed_draws_others() -> None:
    z, label = np.random.default_rng(0).normal(size=(40, 3)), [0, 1] * 20
    pair = negatives(z, label, size=3, seed=0)  # two of a class and one of the other: one negative for each anchor
    assert pair == negatives(z, label, size=3, seed=0)
    assert pair != negatives(z, label, size=3, seed=1)
    whole = negatives(z, label, size=40, rounds=1, seed=0)
    assert whole.shares[-1].denominator > pair.shares[-1].denominator
    assert whole.cosine == pytest.approx(negatives(z, label, size=99, rounds=1, seed=1).cosine)


@pytest.mark.parametrize("label", [[], [0], [0, 0, 0], [0, 1, 2]])
def test_clips_without_both_are_refused(label: list[int]) -> None:
    with pytest.raises(InputError, match=f"^{len(label)} clips .* none has both a positive and a negative"):
        negatives(np.ones((len(label), 3)), label)


def test_the_table_and_the_csv_of_a_run(finished: RunFolder) -> None:
    found = {"ours": negatives_of(finished)}
    text = markdown(found, "make it")
    assert "```bash\nmake it\n```\n\n### ours\n\nCosine between classes: " in text
    rows = [line for line in text.splitlines() if line.startswith(("| tempered", "| cosine", "| none"))]
    assert len(rows) == 9
    assert rows[-1].startswith("| none | – | 100.00 | 100.00 | ")
    lines = list(csv.DictReader(io.StringIO(comma_separated(found))))
    assert [float(line["weight"]) for line in lines] == pytest.approx(
        [s.weight for s in found["ours"].shares], rel=1e-5
    )
    assert [line["eta"] for line in lines] == ["0.1", "0.2", "0.5", "1.0"] * 2 + [""]


def test_the_script_prints_them(
    finished: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, expected in (
        ([], lambda found, command: markdown(found, command)),
        (["--format", "csv"], lambda found, command: comma_separated(found)),
    ):
        argv = [str(SCRIPT), str(finished.path), "--title", "ours", *options]
        monkeypatch.setattr("sys.argv", argv)
        runpy.run_path(str(SCRIPT), run_name="__main__")
        command = f"python benchmarks/negatives.py {finished.path} --title ours"
        assert capsys.readouterr().out == expected({"ours": negatives_of(finished)}, command)


def test_no_run_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [str(SCRIPT), str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "is no run folder" in capsys.readouterr().err
