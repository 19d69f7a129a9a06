"""One suite over everything that can be named in a recipe: backbones, models, losses."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import dfer.losses
import dfer.models
from dfer.backbones import BACKBONES
from dfer.models.build import build
from dfer.models.checkpoint import load, save
from dfer.types import Batch, Output

FRAMES, SIZE = 8, 32


def part(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"dfer.{name}", "init_args": arguments}


def recognizer(backbone: str, **arguments: Any) -> dict[str, Any]:
    small = part(f"backbones.{backbone}", width=0.125)
    return part("models.Recognizer", backbone=small, frames=FRAMES, size=SIZE, **arguments)


MODELS = {
    **{name: recognizer(name) for name in BACKBONES},
    "windows": recognizer("r3d_18", window=4, stride=2),
    "safe": part(
        "models.SAFE",
        backbone=part("backbones.r3d_18", width=0.125),
        temporal=part("modules.S2AM2", hidden_size=8),
        frames=FRAMES,
        size=SIZE,
    ),
    "safe baseline": part(
        "models.SAFE",
        backbone=part("backbones.r3d_18", width=0.125),
        temporal=part("modules.BiLSTM", hidden_size=8),
        attention=False,
        frames=FRAMES,
        size=SIZE,
    ),
    "hdf": part("models.HDF", backbone=part("backbones.x3d_s", width=0.25), frames=FRAMES, size=SIZE),
    "hdf on r3d": part(
        "models.HDF",
        backbone=part("backbones.r3d_18", width=0.125),
        stages=[2, 4],
        attention="conv",
        frames=FRAMES,
        size=SIZE,
    ),
    "m3dfel": part(
        "models.M3DFEL",
        backbone=part("backbones.r3d_18", width=0.125),
        frames=FRAMES,
        size=SIZE,
        hidden_size=8,
        heads=2,
    ),
    "rdfer": part(
        "models.RDFER",
        backbone=part("backbones.resnet18", width=0.125),
        detector=part("backbones.x3d_s", width=0.25),  # on a CPU PyTorch gets bfloat16 ResNets of 16 pixels wrong
        samples=4,
        clips=2,
        features=16,
        frames=FRAMES,
        size=SIZE,
    ),
    "rdfer on x3d": part(
        "models.RDFER",
        backbone=part("backbones.x3d_s", width=0.25),
        resample=False,
        samples=4,
        clips=2,
        features=16,
        frames=FRAMES,
        size=SIZE,
    ),
    "dam as a plug-in": part(
        "models.SAFE",
        backbone=part("backbones.r3d_18", width=0.125, plugins={"4": part("modules.DAM", channels=64, frames=1)}),
        temporal=part("modules.BiLSTM", hidden_size=8),
        frames=FRAMES,
        size=SIZE,
    ),
    "s2am2": recognizer("r3d_18", window=4, temporal=part("modules.S2AM2", input_size=64, hidden_size=8)),
    "bilstm": recognizer("r3d_18", window=4, temporal=part("modules.BiLSTM", input_size=64, hidden_size=8)),
}
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "AmbiguityCalibrationLoss": lambda: dfer.losses.AmbiguityCalibrationLoss([9, 8, 7, 6, 5, 4, 0]),
    "ConfusionAware": lambda: dfer.losses.ConfusionAware(top_k=2),
    "DistributionAwareLoss": lambda: dfer.losses.DistributionAwareLoss(label_smoothing=0.1),
    "SupCon": lambda: dfer.losses.SupCon(),
    "CrossEntropy": lambda: dfer.losses.CrossEntropy(label_smoothing=0.1),
    "SoftCrossEntropy": lambda: voted(dfer.losses.SoftCrossEntropy(0.7)),
    "WeightedSum": lambda: dfer.losses.WeightedSum([dfer.losses.CrossEntropy()], [0.5]),
}


def voted(loss: dfer.losses.SoftCrossEntropy) -> nn.Module:
    """Give it votes on as many clips as a batch has."""
    loss.bind(SimpleNamespace(soft_labels=lambda: torch.rand(4, 7).softmax(dim=1)))
    return loss


def exported(room: Any) -> set[str]:
    parts = {name: getattr(room, name) for name in room.__all__}
    return {name for name, value in parts.items() if inspect.isclass(value) and issubclass(value, nn.Module)}


def batch_of(count: int) -> Batch:
    generator = torch.Generator().manual_seed(count)
    clip = torch.randint(0, 256, (count, 3, FRAMES, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    return Batch(clip, torch.arange(count) % 7, torch.arange(count), torch.ones(count))


@pytest.fixture(params=MODELS)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return MODELS[request.param]


def seeded(config: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return build(config)


def test_the_catalogue_is_whole() -> None:
    assert exported(dfer.losses) == set(LOSSES)
    assert {f"dfer.models.{name}" for name in exported(dfer.models)} == {c["class_path"] for c in MODELS.values()}
    assert set(BACKBONES) <= set(MODELS)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_trains(config: dict[str, Any], count: int, dtype: torch.dtype) -> None:
    model, batch = seeded(config).train(), batch_of(count)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = model(batch.clip)
        dfer.losses.CrossEntropy()(output, batch).backward()
    assert output.logits.shape == (count, 7)
    assert output.embedding.shape[0] == count
    if output.clip_logits is not None:
        assert output.clip_logits.shape[::2] == (count, 7)
    for name, value in model.named_parameters():
        assert value.grad is not None, name
        assert value.grad.isfinite().all(), name
        assert value.dtype == torch.float32


def test_a_clips_output_does_not_depend_on_its_batch_mates(config: dict[str, Any]) -> None:
    model, clip = seeded(config).eval(), batch_of(3).clip
    with torch.no_grad():
        torch.testing.assert_close(model(clip).logits[:1], model(clip[:1]).logits)


def test_two_trainings_are_one(config: dict[str, Any]) -> None:
    def step() -> list[Tensor]:
        model, batch = seeded(config).train(), batch_of(2)
        dfer.losses.CrossEntropy()(model(batch.clip), batch).backward()
        return [value.grad for value in model.parameters() if value.grad is not None]

    assert all(torch.equal(one, two) for one, two in zip(step(), step(), strict=True))


def test_save_and_load(config: dict[str, Any], tmp_path: Path) -> None:
    model, clip = seeded(config), batch_of(2).clip
    model.train()(clip)  # batch norm's statistics have to survive as well
    save(model, tmp_path / "a.safetensors", config=config, about={})
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "a.safetensors").model(clip).logits, model.eval()(clip).logits)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_a_loss_is_finite_with_finite_gradients(name: str, count: int, weight: float, scale: float) -> None:
    batch = batch_of(count)._replace(weight=torch.full((count,), weight))
    logits, embedding = (scale * torch.randn(count, 7)).requires_grad_(), torch.randn(count, 16, requires_grad=True)
    for dtype in (torch.float32, torch.bfloat16):
        logits.grad = embedding.grad = None
        loss = LOSSES[name]()(Output(logits.to(dtype), embedding.to(dtype), None), batch)
        loss.backward()
        assert loss.shape == ()
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        gradients = [part.grad for part in (logits, embedding) if part.grad is not None]
        assert gradients
        assert all(gradient.isfinite().all() for gradient in gradients)
