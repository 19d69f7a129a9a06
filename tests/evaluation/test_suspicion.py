"""Which training labels to doubt: order, verdicts, what is kept and made anew."""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfer.errors import InputError
from dfer.evaluation import suspicion as room
from dfer.evaluation.predict import predict
from dfer.evaluation.source import Source
from dfer.evaluation.suspicion import audit_run, plain_loss, suspicion_order
from dfer.models import checkpoint
from dfer.predictions import Predictions
from dfer.runs import RunFolder

COLUMNS = ["clip_id", "label", "prediction", "probability", "agreement", "loss", "verdict", "held_out"]


def test_order_against_a_plain_sort() -> None:
    rng = np.random.default_rng(0)
    verdict = rng.integers(3, size=200)
    agreement, loss = rng.integers(1, 5, 200) / 4, rng.integers(6, size=200) / 2  # many ties
    slow = [
        *sorted((i for i in range(200) if verdict[i] == 2), key=lambda i: (-agreement[i], -loss[i], i)),
        *sorted((i for i in range(200) if verdict[i] == 0), key=lambda i: (-agreement[i], -loss[i], i)),
        *sorted((i for i in range(200) if verdict[i] == 1), key=lambda i: (agreement[i], -loss[i], i)),
    ]
    assert suspicion_order(verdict, agreement, loss).tolist() == slow


def test_the_loss_is_the_plain_cross_entropy_also_of_huge_logits() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [0.1, 0.2, 0.3], [-5.0, 2.0, 1.0]], np.float32)
    label = np.array([1, 2, 0])
    ids, none = np.array(["a", "b", "c"]), np.zeros((3, 1), np.float32)
    one = Predictions(logits, label, np.arange(3), ids, none, ("x", "y", "z"), temperature=3.0)
    slow = [
        -math.log(math.exp(row[k] - max(row)) / sum(math.exp(v - max(row)) for v in row))
        for row, k in zip(logits[1:].tolist(), label[1:])
    ]
    np.testing.assert_allclose(plain_loss(one), [1e4, *slow], rtol=1e-6)


def test_every_training_clip_is_judged(own_parted: RunFolder) -> None:
    found = audit_run(own_parted)
    table = pd.read_csv(own_parted.audit)
    assert list(table) == COLUMNS
    assert sorted(table["clip_id"]) == sorted(found.clips.clip_id(row) for row in range(30))
    source = Source.open(own_parted)
    seen = predict(source.loaded.model, source.clips("train"))
    place = {clip: at for at, clip in enumerate(seen.clip_id.tolist())}
    held_out = {seen.clip_id[row] for row in own_parted.read_manifest()["data"]["held_out_rows"]}
    assert 0 < len(held_out) < 30
    assert seen.clip_logits is not None
    for row in table.to_dict("records"):
        at = place[row["clip_id"]]
        own = seen.probabilities(1.0)[at, seen.label[at]]
        votes = np.bincount(seen.clip_logits[at].argmax(1)).max()
        assert row["label"] == seen.labels[seen.label[at]]
        assert row["prediction"] == seen.labels[seen.logits[at].argmax()]
        assert row["probability"] == pytest.approx(own, abs=1e-4)
        assert row["loss"] == pytest.approx(-math.log(own), abs=1e-4)
        assert row["agreement"] == pytest.approx(votes / 3, abs=1e-4)
        assert row["held_out"] == (row["clip_id"] in held_out)
    counts = table["verdict"].value_counts()
    assert counts["noisy"] == 3  # a tenth of all training clips
    assert counts.get("hard", 0) == min(6, int((table["agreement"] < 1).sum()))
    codes = table["verdict"].map({"noisy": 2, "ordinary": 0, "hard": 1})
    order = suspicion_order(codes, table["agreement"], table["loss"])
    assert order.tolist() == list(range(30))
    assert own_parted.predictions("train").is_file()


def test_fractions_are_of_all_training_clips(own_parted: RunFolder) -> None:
    counts = audit_run(own_parted, fractions=(0.0, 0.5)).table["verdict"].value_counts()
    assert counts.to_dict() == {"noisy": 15, "ordinary": 15}


def test_a_second_call_predicts_nothing_unless_the_weights_or_the_clips_changed(
    own_parted: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = room.predict

    def counted(*given, **more):  # type: ignore[no-untyped-def]
        calls.append(more["description"])
        return real(*given, **more)

    monkeypatch.setattr(room, "predict", counted)
    first = audit_run(own_parted)
    assert calls == ["looking at the model", "training clips"]
    pd.testing.assert_frame_equal(audit_run(own_parted).table, first.table)
    assert len(calls) == 2
    loaded = checkpoint.load(own_parted.checkpoint())
    loaded.model.classifier.weight.data.neg_()  # type: ignore[union-attr, operator]
    checkpoint.save(loaded.model, own_parted.checkpoint(), config=loaded.config, about={})
    assert not audit_run(own_parted).table.equals(first.table)
    assert len(calls) == 4
    data = Path(own_parted.read_manifest()["data"]["description"]["args"]["root"])
    other = Path(shutil.copytree(data, tmp_path / "other"))
    (other / "train" / "sad" / "sad-9").rename(other / "train" / "happy" / "sad-9")
    corrected = audit_run(own_parted, data=other)
    assert len(calls) == 6
    assert corrected.table["label"].value_counts().to_dict() == {"happy": 11, "angry": 10, "sad": 9}


def test_clips_of_labels_that_the_model_does_not_know_are_left_out(own_parted: RunFolder, tmp_path: Path) -> None:
    data = Path(own_parted.read_manifest()["data"]["description"]["args"]["root"])
    other = Path(shutil.copytree(data, tmp_path / "other"))
    for split in ("train", "test"):
        (other / split / "angry").rename(other / split / "contempt")
    for _ in range(2):  # the second time from what was saved
        found = audit_run(own_parted, data=other)
        assert sorted(set(found.table["label"])) == ["happy", "sad"]
        assert found.predictions.labels == ("happy", "sad", "angry")
        assert [found.clips.clip_id(row) for row in found.predictions.row] == found.predictions.clip_id.tolist()


def test_what_was_noted_in_training_stands_beside_it(own_parted: RunFolder) -> None:
    plain = audit_run(own_parted).table
    ids = plain["clip_id"].tolist()
    lines = ["clip_id,label,agreement,loss,verdict", f"{ids[3]},sad,0.75,1.5,hard", f"{ids[0]},sad,1.0,4.25,noisy"]
    own_parted.path.joinpath("agreement.csv").write_text("\n".join([*lines, f"{ids[1]},sad,,,ordinary"]) + "\n")
    audit_run(own_parted)
    table = pd.read_csv(own_parted.audit)
    noted = ["agreement_in_training", "loss_in_training", "verdict_in_training"]
    assert list(table) == [*COLUMNS, *noted]
    assert table["clip_id"].tolist() == ids
    assert table.loc[3, noted].tolist() == [0.75, 1.5, "hard"]
    assert table.loc[0, noted].tolist() == [1.0, 4.25, "noisy"]
    assert table.loc[[1, 2], noted].isna().all(axis=None)


@pytest.mark.parametrize("text", ["", "clip_id,label\na,b\n", "clip_id,label,agreement,loss,verdict\na,b,c,1,hard\n"])
def test_a_damaged_record_is_one_line(text: str, own_parted: RunFolder) -> None:
    own_parted.path.joinpath("agreement.csv").write_text(text)
    with pytest.raises(InputError, match=r"agreement\.csv is no record of a training"):
        audit_run(own_parted)


def test_labels_that_were_corrected_since_are_judged_without_predicting_anew(
    own_drawn: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = audit_run(own_drawn)
    monkeypatch.setattr(room, "predict", lambda *_, **__: pytest.fail("clips were predicted again"))
    real = Source.clips

    def corrected(self: Source, split: str):  # type: ignore[no-untyped-def]
        clips = real(self, split)
        clips.targets = clips.truth["true_label"].to_numpy(np.int64)  # type: ignore[attr-defined]
        return clips

    monkeypatch.setattr(Source, "clips", corrected)
    second = audit_run(own_drawn)
    changed = first.table.sort_index()["label"] != second.table.sort_index()["label"]
    assert changed.sum() == 6  # a tenth
    before, after = (one.table.sort_index() for one in (first, second))
    assert (before["prediction"] == after["prediction"]).all()
    assert ((before["loss"] != after["loss"]) == changed).all()
