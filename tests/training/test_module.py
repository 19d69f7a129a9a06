"""The Lightning module."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfer.datasets.partners import Partnered
from dfer.labels import BASIC
from dfer.runs import RunFolder
from dfer.training.module import Recognition
from dfer.transforms import ClipMix
from dfer.transforms.mix import mix_generator
from dfer.types import Batch, InputSpec, Output


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 7)

    def forward(self, clip: Tensor) -> Output:
        features = clip.float().mean(dim=(2, 3, 4)) / 255
        return Output(self.classifier(features), features)


class Loss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.bound: list[object] = []

    def bind(self, dataset: object) -> None:
        self.bound.append(dataset)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        return self.scale * output.logits.square().mean()


def schedule(warmup_epochs: int, epochs: int, steps: int) -> list[float]:
    module = Recognition(Tiny(), warmup_epochs=warmup_epochs, min_lr=1e-5)
    module.trainer = SimpleNamespace(estimated_stepping_batches=steps, max_epochs=epochs)  # type: ignore[assignment]
    (optimizer,), (scheduler,) = module.configure_optimizers()
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler["scheduler"].step()
    return [*rates, optimizer.param_groups[0]["lr"]]


def test_the_rate_rises_linearly_then_follows_a_cosine_to_the_floor() -> None:
    rates = schedule(warmup_epochs=2, epochs=10, steps=100)
    warm = 20
    expected = [5e-4 * (1 + step) / (warm + 1) for step in range(warm)]
    expected[0] = 5e-4 / (warm + 1)
    expected += [1e-5 + (5e-4 - 1e-5) * (1 + np.cos(np.pi * step / 80)) / 2 for step in range(81)]
    np.testing.assert_allclose(rates[:warm], expected[:warm], rtol=1e-6)
    np.testing.assert_allclose(rates[warm:], expected[warm:], rtol=1e-5)


def test_no_warm_up_starts_at_the_full_rate() -> None:
    rates = schedule(warmup_epochs=0, epochs=5, steps=10)
    assert rates[0] == 5e-4
    assert rates[-1] == pytest.approx(1e-5)


def test_one_step_in_all() -> None:
    assert len(schedule(warmup_epochs=3, epochs=1, steps=1)) == 2


def test_a_losss_own_parameters_have_no_weight_decay() -> None:
    module = Recognition(Tiny(), Loss())
    module.trainer = SimpleNamespace(estimated_stepping_batches=4, max_epochs=1)  # type: ignore[assignment]
    (optimizer,), _ = module.configure_optimizers()
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay[id(module.loss.scale)] == 0
    assert all(decay[id(p)] == 0.05 for p in module.model.parameters())


def test_parts_that_ask_are_bound_once() -> None:
    module = Recognition(Tiny(), Loss())
    dataset = SimpleNamespace(clip_id=str, seed=3)
    module.bind(dataset)  # type: ignore[arg-type]
    assert module.loss.bound == [dataset]


def test_bad_arguments_are_refused_with_their_value() -> None:
    with pytest.raises(ValueError, match="warmup_epochs -1"):
        Recognition(Tiny(), warmup_epochs=-1)


def test_training_figures_are_means_over_clips(fit: Callable[..., RunFolder]) -> None:
    """27 clips in batches of 8, 8, 8, 3: a mean over batches would weigh the last three clips more."""
    seen: list[tuple[float, int]] = []
    real = Recognition.training_step

    def step(self: Recognition, batch: Batch, batch_idx: int) -> Tensor:
        loss = real(self, batch, batch_idx)
        seen.append((loss.item(), len(batch.label)))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recognition, "training_step", step)
        run = fit("a", "--trainer.max_epochs", "1")
    wanted = sum(loss * count for loss, count in seen) / sum(count for _, count in seen)
    header, row = (line.split(",") for line in run.metrics.read_text().splitlines())
    assert float(row[header.index("train_loss")]) == pytest.approx(wanted, rel=1e-5)


def mixing(training: bool, mix: ClipMix | None) -> Recognition:
    model = Tiny()
    model.input_spec = InputSpec(2, 8, BASIC)  # type: ignore[assignment]
    module = Recognition(model, mix=mix)
    module.bind(SimpleNamespace(clip_id=str, seed=3))  # type: ignore[arg-type]
    module.trainer = SimpleNamespace(training=training, current_epoch=5)  # type: ignore[assignment]
    module.on_train_epoch_start()
    return module


def four() -> Batch:
    clip = torch.randint(0, 256, (4, 3, 2, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Batch(clip, torch.zeros(4, dtype=torch.long), torch.arange(4), torch.ones(4))


def test_a_training_batch_is_mixed_by_seed_epoch_and_step() -> None:
    mix = ClipMix(ratio=1.0, block_size=4)
    module = mixing(True, mix)
    for step in range(3):
        mixed = module.on_after_batch_transfer(four(), 0)
        assert torch.equal(mixed.clip, mix(four().clip, four().label, mix_generator(3, 5, step)))
        assert not torch.equal(mixed.clip, four().clip)
        assert torch.equal(mixed.label, four().label)
    module.on_train_epoch_start()
    assert torch.equal(
        module.on_after_batch_transfer(four(), 0).clip, mix(four().clip, four().label, mix_generator(3, 5, 0))
    )


def test_other_batches_are_left_alone() -> None:
    for module in (mixing(False, ClipMix(ratio=1.0, block_size=4)), mixing(True, None)):
        assert torch.equal(module.on_after_batch_transfer(four(), 0).clip, four().clip)


def test_partners_of_the_loader_are_mixed_in() -> None:
    mix = ClipMix(ratio=1.0, mask_ratio=1.0, block_size=4, partners="dataset")
    partner = 255 - four().clip[:1]
    mixed = mixing(True, mix).on_after_batch_transfer(Partnered(four(), partner, torch.tensor([2])), 0)
    assert torch.equal(mixed.clip[2], partner[0])
    assert torch.equal(mixed.clip[:2], four().clip[:2])


def test_blocks_that_do_not_tile_the_models_frames_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"8 x 8 .* 16"):
        mixing(True, ClipMix(block_size=16))
