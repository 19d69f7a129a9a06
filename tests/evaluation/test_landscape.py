"""The loss around the weights."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dfer.backbones import r3d_18
from dfer.errors import InputError
from dfer.evaluation.landscape import filter_normalised, surface, training_clips
from dfer.evaluation.source import Source
from dfer.models import Recognizer
from dfer.modules import S2AM2, BiLSTM
from dfer.runs import RunFolder


def small(temporal: nn.Module | None = None) -> Recognizer:
    torch.manual_seed(0)
    model = Recognizer(r3d_18(width=0.0625), frames=4, size=16, window=2, temporal=temporal, dropout=0.5)
    for name, value in model.named_buffers():  # statistics as if it had been trained
        if "running_mean" in name:
            value.uniform_(-0.3, 0.1)
        if "running_var" in name:
            value.uniform_(0.2, 1.0)
    return model


CLIPS = torch.randint(0, 256, (5, 3, 4, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABEL = torch.tensor([0, 1, 2, 6, 1])


def test_filters_of_a_direction_are_as_long_as_the_models() -> None:
    model = small(BiLSTM(32, 4))
    nn.init.zeros_(model.classifier.weight[3])
    direction = filter_normalised(model, torch.Generator().manual_seed(0))
    assert direction.keys() == dict(model.named_parameters()).keys()
    for name, weight in model.named_parameters():
        if weight.ndim == 1:
            assert (direction[name] == 0).all(), name
            continue
        for of_model, of_direction in zip(weight.tolist(), direction[name].tolist()):
            length, wanted = (math.sqrt(np.square(one).sum()) for one in (of_direction, of_model))
            assert length == pytest.approx(wanted, rel=1e-4, abs=1e-9), name


def test_directions_are_repeatable_and_differ() -> None:
    model, generator = small(), torch.Generator().manual_seed(0)
    first, second = filter_normalised(model, generator), filter_normalised(model, generator)
    again = filter_normalised(model, torch.Generator().manual_seed(0))
    name = "backbone.layer1.0.conv1.0.weight"
    torch.testing.assert_close(first[name], again[name], rtol=0, atol=0)
    cosine = F.cosine_similarity(first[name].flatten(), second[name].flatten(), dim=0)
    assert abs(float(cosine)) < 0.2


@pytest.mark.parametrize("temporal", [None, BiLSTM(32, 4), S2AM2(32, 4)], ids=["none", "BiLSTM", "S2AM2"])
def test_equals_the_loss_at_moved_weights(temporal: nn.Module | None) -> None:
    model = small(temporal)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    coordinates, losses = surface(model, CLIPS, LABEL, steps=3, reach=0.5, batch_size=2, device="cpu")
    np.testing.assert_allclose(coordinates, [-0.5, 0, 0.5])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training

    generator = torch.Generator().manual_seed(0)
    first, second = filter_normalised(model, generator), filter_normalised(model, generator)
    model.eval()
    for row in range(3):
        for column in range(3):
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    weight.copy_(before[name] + coordinates[column] * first[name] + coordinates[row] * second[name])
                wanted = F.cross_entropy(model(CLIPS).logits, LABEL)
            assert losses[row, column] == pytest.approx(float(wanted), rel=1e-4), (row, column)
    assert len(np.unique(losses)) == 9


def test_the_middle_is_the_model_itself() -> None:
    model = small().eval()
    with torch.no_grad():
        wanted = float(F.cross_entropy(model(CLIPS).logits, LABEL))
    assert surface(model, CLIPS, LABEL, steps=3)[1][1, 1] == pytest.approx(wanted, rel=1e-5)
    assert not model.training


@pytest.mark.parametrize(
    ("steps", "clips", "message"),
    [(4, CLIPS, "steps 4"), (1, CLIPS, "steps 1"), (3, CLIPS[:0], "0 clips"), (3, CLIPS[:2], "2 clips and 5")],
)
def test_refused(steps: int, clips: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        surface(small(), clips, LABEL, steps=steps)


def test_training_clips_are_none_that_any_run_held_out(finished: RunFolder, own_run: RunFolder) -> None:
    manifest = own_run.read_manifest()
    held_out = set(finished.read_manifest()["data"]["held_out_rows"])
    other = {row for row in range(30) if row not in held_out and row % 2}
    manifest["data"]["held_out_rows"] = sorted(other)
    own_run.write_manifest(manifest)
    sources = [Source.open(finished), Source.open(own_run)]
    (first, label), (second, same) = training_clips(sources, ["a", "b"], count=100)
    shared = [row for row in range(30) if row not in held_out | other]
    data = sources[0].clips("train")
    assert torch.equal(first, torch.stack([data[row].clip.transpose(0, 1) for row in shared]))
    assert torch.equal(first, second)
    assert label.tolist() == same.tolist() == data.targets[shared].tolist()


def test_a_fixed_number_of_clips(finished: RunFolder) -> None:
    ((clips, label),) = training_clips([Source.open(finished)], ["a"], count=7)
    ((again, _),) = training_clips([Source.open(finished)], ["a"], count=7)
    assert clips.shape == (7, 3, 4, 32, 32)
    assert torch.equal(clips, again)
    assert len(set(label.tolist())) > 1


def test_other_training_clips_are_refused(finished: RunFolder, clips) -> None:  # type: ignore[no-untyped-def]
    (next((clips / "train" / "sad").iterdir())).rename(clips / "train" / "happy" / "another")
    moved = Source.open(finished, clips)
    with pytest.raises(InputError, match="b was trained on other clips than a"):
        training_clips([Source.open(finished), moved], ["a", "b"])


def test_clips_drawn_otherwise_are_refused(finished: RunFolder) -> None:
    source = Source.open(finished)
    arguments = source.description["args"] | {"test_fraction": 0.3}  # of no effect where the folders say the split
    other = replace(source, description=source.description | {"args": arguments})
    with pytest.raises(InputError, match="b was trained on other clips than a"):
        training_clips([source, other], ["a", "b"])


def test_no_shared_clip_is_refused(finished: RunFolder) -> None:
    source = Source.open(finished)
    everything = replace(source, manifest={"data": {"held_out_rows": list(range(30))}})
    with pytest.raises(InputError, match="no clip that a all trained on"):
        training_clips([everything], ["a"])
