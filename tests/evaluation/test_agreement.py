"""Agreement of a video's clips by expression: ``dfer agreement``."""

import csv
import io
import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfer.backbones import resnet18
from dfer.cli import main
from dfer.errors import InputError
from dfer.evaluation.agreement import (
    agreement_of,
    agreement_tables,
    by_agreement,
    places_by_level,
    samples_by_level,
)
from dfer.evaluation.source import Source
from dfer.models import RDFER, checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder

LABELS = ("happy", "sad", "neutral", "angry", "surprise", "disgust", "fear")


def random(count: int, clips: int, seed: int, labels: tuple[str, ...] = LABELS) -> Predictions:
    """Draw predictions whose clips often agree; no video shows the last class."""
    rng = np.random.default_rng(seed)
    K = len(labels)
    label = rng.integers(K - 1, size=count)
    lean = 2.5 * np.eye(K)[np.where(rng.random(count) < 0.6, label, rng.integers(K, size=count))]
    parts = (lean[:, None] + rng.normal(size=(count, clips, K))).astype(np.float32)
    ids = np.array([f"{seed}-{row}" for row in range(count)])
    return Predictions(
        parts.mean(1), label, np.arange(count), ids, np.zeros((count, 1), np.float32), labels, clip_logits=parts
    )


def slow_agreement(one: Predictions, row: int) -> float:
    assert one.clip_logits is not None
    votes = Counter(max(range(len(one.labels)), key=lambda k: part[k]) for part in one.clip_logits[row].tolist())
    return max(votes.values()) / len(one.clip_logits[row])


@pytest.mark.parametrize("clips", [1, 3, 4, 7])
def test_tables_against_plain_loops(clips: int) -> None:
    found = [random(60, clips, 1), random(40, clips, 2)]
    counted = by_agreement(found)
    for of in found:
        slow = [slow_agreement(of, row) for row in range(len(of))]
        np.testing.assert_allclose(agreement_of(of), slow, rtol=1e-6)
    levels = [votes / clips for votes in range(math.ceil(clips / 7), clips + 1)]
    np.testing.assert_allclose(counted.levels, levels)
    videos = [
        (slow_agreement(of, row), int(of.label[row]), int(of.logits[row].argmax()))
        for of in found
        for row in range(len(of))
    ]
    for column in [*range(7), None]:
        own = [one for one in videos if column is None or one[1] == column]
        place = 7 if column is None else column
        for at, level in enumerate([*levels, None]):
            here = [one for one in own if level is None or abs(one[0] - level) < 1e-6]
            right = sum(guess == label for _, label, guess in here)
            accuracy = right / len(here) if here else math.nan
            np.testing.assert_allclose(counted.accuracy[at, place], accuracy, equal_nan=True)
            if level is not None:
                share = len(here) / len(own) if own else math.nan
                np.testing.assert_allclose(counted.proportion[at, place], share, equal_nan=True)
    assert np.isnan(counted.proportion[:, 6]).all()  # no video shows fear


def test_the_form_is_the_papers() -> None:
    proportion, accuracy = agreement_tables(by_agreement([random(80, 4, 3)]))
    short = ["Hap", "Sad", "Neu", "Ang", "Sur", "Dis", "Fea"]
    assert proportion.headers == ["Agr.", *short, "Sum"]
    assert accuracy.headers == ["Agr.", *short, "Ave."]
    assert [row[0] for row in proportion.rows] == ["0.25", "0.50", "0.75", "1.00", "Num."]
    assert [row[0] for row in accuracy.rows] == ["0.25", "0.50", "0.75", "1.00", "all"]
    assert proportion.rows[-1][-1] == 80
    assert sum(share for row in proportion.rows[:-1] if (share := row[-1])) == pytest.approx(1)  # type: ignore[misc]
    assert {row[7] for row in [*proportion.rows[:-1], *accuracy.rows]} == {None}  # nobody shows fear
    assert proportion.rows[-1][7] == 0


def test_a_cell_without_videos_is_empty_and_no_zero() -> None:
    one = random(3, 4, 0)
    parts = np.zeros((3, 4, 7), np.float32)
    parts[:, :, 0] = 1.0
    one = replace(one, clip_logits=parts, label=np.array([1, 1, 2]), logits=parts[:, 0])
    proportion, accuracy = agreement_tables(by_agreement([one]))
    assert [row[2] for row in proportion.rows] == [None, None, None, 1.0, 2]
    assert [row[2] for row in accuracy.rows] == [None, None, None, 0.0, 0.0]  # of two videos, none was right
    assert all(cell != 0 for row in proportion.rows[:-1] for cell in row)
    assert "nan" not in str(proportion.texts() + accuracy.texts())


def test_levels_that_cannot_be_are_left_out() -> None:
    assert by_agreement([random(20, 4, 0, ("happy", "sad"))]).levels.tolist() == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([random(5, 3, 1)], "3 clips of happy.* and 4 clips of happy"),
        ([random(5, 4, 1, ("happy", "sad"))], "4 clips of happy, sad and 4 clips of happy, sad, neutral"),
        ([replace(random(5, 4, 1), clip_logits=None)], "predicts whole videos only.*RDFER, M3DFEL, SAFE"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(others: list[Predictions], said: str) -> None:
    with pytest.raises(InputError, match=said):
        by_agreement([random(5, 4, 0), *others])


def test_the_command_counts_runs_together(parted: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["agreement", str(parted.path), str(parted.path)]
    assert main([*command, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda text: pytest.fail(text))
    one = Predictions.load(parted.predictions())
    assert one.clip_logits is not None
    assert one.clip_logits.shape[1] == 3
    assert found["proportion"][-1] == {"Agr.": "Num.", "Hap": 6, "Sad": 6, "Ang": 6, "Sum": 18}
    assert found["accuracy"][-1]["Ave."] == pytest.approx((one.logits.argmax(1) == one.label).mean())
    assert main(command) == 0
    assert "18 predictions of 2 runs, test." in " ".join(capsys.readouterr().out.split())
    assert main([*command, "--format", "markdown", "--split", "held-out"]) == 0
    shown = capsys.readouterr().out
    assert f"dfer agreement {parted.path} {parted.path} --split held-out" in shown
    assert "| Agr.   |" in shown
    assert main([*command, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["value"] for row in rows if (row["row"], row["column"]) == ("Num.", "Sum")] == ["18"]


@pytest.mark.parametrize(
    ("run", "options", "said"),
    [
        ("finished", [], "this model predicts whole videos only, no clips"),
        ("parted", ["--split", "train"], "`dfer audit "),
        ("parted", ["--split", "tset"], "no predictions 'tset'; test, test-uar, held-out"),
        ("nowhere", [], "nowhere is no run folder"),
    ],
)
def test_bad_input_is_one_line(
    run: str,
    options: list[str],
    said: str,
    finished: RunFolder,
    parted: RunFolder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    where = {"finished": finished.path, "parted": parted.path}.get(run, run)
    assert main(["agreement", str(where), *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_samples_are_of_their_level_and_tell_what_each_part_is_taken_for(parted: RunFolder) -> None:
    found = Predictions.load(parted.predictions())
    assert found.clip_logits is not None
    clips = Source.open(parted).clips("test")
    drawn = samples_by_level(found, clips)
    places = places_by_level(agreement_of(found))
    assert sum(map(len, places.values())) == len(found)
    assert list(drawn) == list(places)
    for name, level in drawn.items():
        assert len(level) == min(2, len(places[name]))
        for one in level:
            (row,) = [row for row in range(9) if np.array_equal(clips[row].clip.permute(0, 2, 3, 1), one.frames)]
            at = found.clip_id.tolist().index(clips.clip_id(row))
            assert at in places[name]
            assert one.label == found.labels[found.label[at]]
            assert one.parts == [found.labels[k] for k in found.clip_logits[at].argmax(1)]
    assert [len(level) for level in samples_by_level(found, clips, 1).values()] == [1] * len(places)


def test_a_model_that_samples_the_clip_itself_shows_what_it_takes(parted: RunFolder) -> None:
    found = Predictions.load(parted.predictions())
    clips = Source.open(parted).clips("test")
    spec = Source.open(parted).loaded.input_spec
    model = RDFER(
        backbone=resnet18(width=0.125),
        detector=resnet18(width=0.125),
        frames=spec.frames,
        samples=spec.frames // 2,
        clips=2,
        size=spec.size,
        features=8,
    )
    assert model.detector is not None
    with torch.no_grad():
        model.detector.place.bias.copy_(torch.tensor([-30.0, -30.0]))  # the clip's beginning, half a frame apart
    expected = [max(0, round(0.5 * (k - spec.frames // 4))) for k in range(spec.frames // 2)]
    plain = samples_by_level(found, clips)
    for name, level in samples_by_level(found, clips, model=model).items():
        for one, whole in zip(level, plain[name], strict=True):
            np.testing.assert_array_equal(one.frames, whole.frames[expected])


@pytest.mark.parametrize("split", ["bogus", "../predictions/test"])
def test_a_split_that_is_none_is_refused(split: str, parted: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agreement", str(parted.path), "--split", split]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"no predictions '{split}'; test, test-uar, held-out" in line


def test_predictions_of_other_weights_are_refused(own_parted: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(own_parted.path)]) == 0
    assert main(["agreement", str(own_parted.path), "--split", "train"]) == 0
    capsys.readouterr()
    loaded = checkpoint.load(own_parted.checkpoint())
    loaded.model.classifier.weight.data.neg_()  # type: ignore[union-attr, operator]
    checkpoint.save(loaded.model, own_parted.checkpoint(), config=loaded.config, about={})
    assert main(["agreement", str(own_parted.path), "--split", "train"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "of other weights than the run has now; run `dfer audit" in line
