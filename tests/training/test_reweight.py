"""Training whose clips are weighed by the agreement of the model's clips."""

import warnings
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils.data import DataLoader

import dfer.losses
from dfer.backbones import r3d_18
from dfer.errors import InputError, ItemError
from dfer.labels import BASIC
from dfer.losses import (
    AmbiguityCalibrationLoss,
    ConfusionAware,
    CrossEntropy,
    DistributionAwareLoss,
    SoftCrossEntropy,
    SupCon,
    WeightedSum,
)
from dfer.models import SAFE, Recognizer
from dfer.optim import SAM
from dfer.reweight import HARD, NOISY, AgreementReweighting, clip_agreement
from dfer.training.module import Recognition, _to_host
from dfer.transforms import ClipMix
from dfer.types import Batch, InputSpec, Output

SIZE, STEPS = 6, 3
ROWS = SIZE * STEPS
LOSSES: dict[str, Any] = {
    "AmbiguityCalibrationLoss": partial(AmbiguityCalibrationLoss, logit_weight=1.0, feature_weight=1.0),
    "ConfusionAware": ConfusionAware,
    "CrossEntropy": CrossEntropy,
    "DistributionAwareLoss": DistributionAwareLoss,
    "SoftCrossEntropy": lambda: SoftCrossEntropy(0.7),
    "SupCon": SupCon,
    "WeightedSum": lambda: WeightedSum([CrossEntropy(0.1), SupCon()], [1.0, 0.5]),
}


class Net(nn.Module):
    """Small; its clips are a video's frames. Keeps what it said in training."""

    def __init__(self, clips: bool = True) -> None:
        super().__init__()
        self.input_spec = InputSpec(4, 8, BASIC)
        self.clips = clips
        self.conv = nn.Conv3d(3, 6, 1)
        self.classifier = nn.Linear(6, 7)
        self.said: list[Output] = []

    def forward(self, clip: Tensor) -> Output:
        tokens = torch.tanh(self.conv(clip.float() / 64 - 2)).mean((3, 4)).mT  # (B, T, 6)
        embedding = tokens.mean(1)
        output = Output(self.classifier(embedding), embedding, self.classifier(tokens) if self.clips else None)
        if self.training:
            self.said.append(Output(*(None if part is None else part.detach() for part in output)))
        return output


class Seen(nn.Module):
    """Cross-entropy that keeps the weights it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []
        self.rows: list[Tensor] = []

    def forward(self, output: Output, batch: Batch) -> Tensor:
        self.weights.append(batch.weight.clone())
        self.rows.append(batch.row.clone())
        return CrossEntropy()(output, batch)


def batches(count: int = STEPS, size: int = SIZE, side: int = 8, frames: int = 4) -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    return [
        Batch(
            torch.randint(0, 256, (size, 3, frames, side, side), dtype=torch.uint8, generator=generator),
            torch.arange(size) % 3,
            torch.arange(size) + size * number,
            torch.ones(size),
        )
        for number in range(count)
    ]


class Clips:
    seed, labels = 4, BASIC
    class_counts = torch.tensor([ROWS // 3] * 3 + [1] * 4).numpy()

    def __len__(self) -> int:
        return ROWS

    def clip_id(self, row: int) -> str:
        return f"clip {row}"

    def soft_labels(self) -> Any:
        return torch.rand(ROWS, 7, generator=torch.Generator().manual_seed(5)).softmax(dim=1).numpy()


def build(reweight: AgreementReweighting | None, loss: nn.Module | None = None, **settings: Any) -> Recognition:
    torch.manual_seed(0)
    optimizer = partial(torch.optim.AdamW, lr=1e-2, fused=True)
    module = Recognition(**{"model": Net(), "loss": loss, "optimizer": optimizer, "reweight": reweight, **settings})
    module.bind(Clips())  # type: ignore[arg-type]
    return module


def train(module: Recognition, data: list[Batch], epochs: int = 1, resume: Path | None = None, **settings: Any) -> None:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # as in `dfer.training.fit`
        trainer = pl.Trainer(**{"accelerator": "cpu", "max_epochs": epochs, **quiet, **settings})  # type: ignore[arg-type]
        loader: Any = DataLoader(data, batch_size=None)  # type: ignore[arg-type]
        trainer.fit(module, train_dataloaders=loader, ckpt_path=resume, weights_only=True if resume else None)


def judged(hard: list[int], noisy: list[int], **settings: Any) -> AgreementReweighting:
    """Reweight with these verdicts from the start."""
    settings = {"hard_fraction": len(hard) / ROWS, "noisy_fraction": len(noisy) / ROWS, "warmup_epochs": 0, **settings}
    reweight = AgreementReweighting(ROWS, **settings)
    rows = hard + noisy
    reweight.record(rows, [0.5] * len(hard) + [1.0] * len(noisy), [1.0] * len(rows))
    reweight.end_epoch()
    assert (reweight.verdict() == HARD).nonzero().squeeze(1).tolist() == sorted(hard)
    assert (reweight.verdict() == NOISY).nonzero().squeeze(1).tolist() == sorted(noisy)
    return reweight


@pytest.mark.parametrize("passes", [1, 2])
def test_the_first_pass_is_recorded_and_both_are_weighed(passes: int) -> None:
    reweight = AgreementReweighting(warmup_epochs=1, hard_fraction=0.3, noisy_fraction=0.2)
    adamw = partial(torch.optim.AdamW, lr=1e-2, fused=True)
    optimizer = adamw if passes == 1 else partial(SAM, base_optimizer=adamw, rho=0.5)
    module = build(reweight, Seen(), optimizer=optimizer)
    train(module, batches(), epochs=3)
    seen, said = module.loss.weights, module.model.said
    assert len(seen) == len(said) == 3 * STEPS * passes
    assert all(weight.eq(1).all() for weight in seen[: STEPS * passes])  # warm-up
    assert set(torch.cat(seen[STEPS * passes :]).tolist()) == {0.0, 1.0, 1.5}
    if passes == 2:
        assert all(torch.equal(a, b) for a, b in zip(seen[::2], seen[1::2], strict=True))
        assert not torch.equal(said[-1].logits, said[-2].logits)
    first = said[::passes][-STEPS:]  # of the last epoch
    agreement = torch.cat([clip_agreement(output.clip_logits) for output in first])
    loss = nn.functional.cross_entropy(
        torch.cat([output.logits for output in first]),
        torch.cat([batch.label for batch in batches()]),
        reduction="none",
    )
    assert reweight.agreement.equal(agreement)
    assert_close(reweight.loss, loss, rtol=1e-6, atol=0)
    assert reweight.epochs == 3


def test_weights_follow_the_verdicts_of_the_epoch_before() -> None:
    reweight = AgreementReweighting(warmup_epochs=0, hard_fraction=0.3, noisy_fraction=0.2)
    wanted = []

    class Watch(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            wanted.append(torch.tensor([1, 1.5, 0])[reweight.verdict()])

    module = build(reweight, Seen())
    train(module, batches(), epochs=3, callbacks=[Watch()])
    for epoch in range(3):
        weight = torch.cat(module.loss.weights[STEPS * epoch : STEPS * (epoch + 1)])
        assert torch.equal(weight, wanted[epoch])
    assert wanted[0].eq(1).all()
    assert not torch.equal(wanted[1], wanted[2])


def test_ranks_within_the_batch_are_of_its_own_records() -> None:
    reweight = AgreementReweighting(
        warmup_epochs=0, hard_fraction=0, noisy_fraction=1 / SIZE, rank_by="loss", scope="batch"
    )
    module = build(reweight, Seen())
    train(module, batches())
    for batch, output, weight in zip(batches(), module.model.said, module.loss.weights, strict=True):
        loss = nn.functional.cross_entropy(output.logits, batch.label, reduction="none")
        assert (weight == 0).nonzero().tolist() == [[int(loss.argmax())]]


def test_the_recorded_loss_is_plain() -> None:
    """Neither smoothed nor weighed, and not of the mixed batch's other clips; ranks still change the loss."""
    reweight = judged([0], [1])
    module = build(reweight, CrossEntropy(label_smoothing=0.3), mix=ClipMix(ratio=1.0, block_size=4))
    train(module, batches(1))
    loss = nn.functional.cross_entropy(module.model.said[0].logits, batches(1)[0].label, reduction="none")
    assert_close(reweight.loss[:SIZE], loss, rtol=1e-6, atol=0)


def test_all_losses_are_here() -> None:
    assert set(LOSSES) == {name for name in dfer.losses.__all__ if isinstance(getattr(dfer.losses, name), type)}


@pytest.mark.parametrize("name", LOSSES)
def test_a_clip_of_weight_0_has_no_gradient_and_a_hard_one_more(name: str) -> None:
    def gradient(reweight: AgreementReweighting | None) -> Tensor:
        module = build(reweight, LOSSES[name]())
        (batch,) = batches(1)
        clip = batch.clip.float().requires_grad_()
        module.on_train_epoch_start()
        module.on_train_batch_start(batch, 0)
        module.training_step(batch._replace(clip=clip), 0).backward()
        assert clip.grad is not None
        return clip.grad.flatten(1).norm(dim=1)

    plain, weighed = gradient(None), gradient(judged([2], [1, 4]))
    assert (weighed == 0).nonzero().squeeze(1).tolist() == [1, 4]
    assert (plain > 0).all()
    assert not torch.isclose(weighed[2], plain[2], rtol=0.01)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("passes", [1, 2])
def test_every_loss_trains(name: str, passes: int) -> None:
    adamw = partial(torch.optim.AdamW, lr=1e-2, fused=True)
    optimizer = adamw if passes == 1 else partial(SAM, base_optimizer=adamw)
    weights = []
    for reweight in (None, AgreementReweighting(warmup_epochs=0, hard_fraction=0.3, noisy_fraction=0.3)):
        module = build(reweight, LOSSES[name](), optimizer=optimizer)
        train(module, batches(), epochs=2)
        weights.append(module.model.conv.weight.detach().clone())
    assert weights[1].isfinite().all()
    assert not torch.equal(*weights)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SAFE(frames=8, size=32, window=4, stride=2, backbone=r3d_18(width=0.125)),
        lambda: Recognizer(r3d_18(width=0.125), frames=8, size=32, window=4),
    ],
    ids=["safe", "recognizer"],
)
def test_models_over_windows(make: Any) -> None:
    torch.manual_seed(0)
    reweight = AgreementReweighting(warmup_epochs=0, hard_fraction=0.4, noisy_fraction=0.4)
    module = build(reweight, Seen(), model=make(), mix=ClipMix(block_size=8))
    train(module, batches(2, side=32, frames=8), epochs=2)
    assert reweight.agreement[: 2 * SIZE].isfinite().all()
    assert reweight.agreement[2 * SIZE :].isnan().all()
    assert {0.0, 1.0} <= set(torch.cat(module.loss.weights).tolist())
    assert module.training_diagnostics["agreement"] == pytest.approx(float(reweight.agreement.nanmean()))


def test_gradients_accumulated_over_batches_are_of_weighed_clips() -> None:
    """Three batches of six are one of eighteen."""
    moved = []
    for data, more in ((batches(), {"accumulate_grad_batches": STEPS}), ([one_batch()], {})):
        module = build(judged([2, 7], [3, 11]))
        train(module, data, **more)
        moved.append(torch.cat([p.detach().flatten() for p in module.model.parameters()]))
        assert module.reweight is not None
        assert module.reweight.agreement.isfinite().all()
    assert_close(*moved, rtol=1e-4, atol=1e-6)


def one_batch() -> Batch:
    return Batch(*(torch.cat(parts) for parts in zip(*batches())))


def test_rows_that_come_twice_or_not_at_all() -> None:
    reweight = AgreementReweighting(warmup_epochs=0)
    module = build(reweight, Seen())
    (batch,) = batches(1)
    train(module, [batch._replace(row=torch.tensor([0, 0, 5, 5, 5, 9]))], epochs=2)
    loss = nn.functional.cross_entropy(module.model.said[1].logits, batch.label, reduction="none")
    assert_close(reweight.loss[[0, 5, 9]], loss[[1, 4, 5]], rtol=1e-6, atol=0)
    assert int(reweight.agreement.isfinite().sum()) == 3


def test_validation_records_and_weighs_nothing() -> None:
    reweight = judged([0], [1])
    before = reweight.state_dict()
    module = build(reweight, Seen())
    module.eval()
    module.validation_step(batches(1)[0], 0)
    assert module.loss.weights[0].eq(1).all()
    assert_close(reweight.state_dict(), before, equal_nan=True, rtol=0, atol=0)


def test_weights_of_the_batch_itself_stay() -> None:
    module = build(judged([0], [1]), Seen())
    train(module, [batches(1)[0]._replace(weight=torch.full((SIZE,), 2.0))])
    assert module.loss.weights[0].tolist() == [3, 0, 2, 2, 2, 2]


def test_a_model_without_clip_logits_is_refused_in_the_step_too() -> None:
    module = build(AgreementReweighting(), model=Net(clips=False))
    with pytest.raises(InputError, match=r"Net gives no clip_logits.*--model\.reweight null"):
        train(module, batches())
    train(build(None, model=Net(clips=False)), batches())


def test_logits_that_are_not_finite_are_refused_by_the_clips_names() -> None:
    module = build(judged([0], [1], scope="batch"))
    with torch.no_grad():
        module.model.classifier.bias.fill_(torch.nan)
    with pytest.raises(ItemError, match=r"the loss became nan.*clip 0, clip 1"):
        train(module, batches())


def test_an_unbound_module_says_so() -> None:
    module = Recognition(Net(), reweight=AgreementReweighting())
    module.clip_id = str
    with pytest.raises(ValueError, match=r"call bind\(train_set\)"):
        train(module, batches())


def test_shares_are_of_the_rows_that_are_trained_on() -> None:
    module = Recognition(Net(), reweight=AgreementReweighting())
    module.bind(Clips(), range(0, ROWS, 2))  # type: ignore[arg-type]
    assert module.reweight is not None
    assert (module.reweight.num_samples, module.reweight.total) == (ROWS, ROWS // 2)


def test_parts_that_do_not_reweight_need_no_clips() -> None:
    Recognition(Net()).bind(SimpleNamespace(clip_id=str, seed=0))  # type: ignore[arg-type]


def test_the_way_to_the_host_keeps_every_bit() -> None:
    row = torch.tensor([0, 2**40, 16_777_217])
    first, second = torch.tensor([1 / 3, -0.0, torch.nan]), torch.tensor([torch.inf, 1e-42, -3.0])
    found = _to_host(row, first, second)
    assert found[0].equal(row)
    for a, b in zip(found[1:], (first, second)):
        assert a.dtype == torch.float32
        assert a.view(torch.int32).equal(b.view(torch.int32))
    assert [len(part) for part in _to_host(row[:0], first[:0])] == [0, 0]


def test_going_on_from_a_checkpoint_of_ones_own_trainer_is_exact(tmp_path: Path) -> None:
    """Without our callbacks: Lightning keeps its checkpoints after the module's own hook."""

    class Stop(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise ZeroDivisionError

    def fresh() -> Recognition:
        return build(AgreementReweighting(warmup_epochs=1, hard_fraction=0.3, noisy_fraction=0.2), Seen())

    whole, stopped, resumed = fresh(), fresh(), fresh()
    train(whole, batches(), epochs=4)
    keep = pl.callbacks.ModelCheckpoint(tmp_path, save_last=True, save_on_train_epoch_end=True)
    with pytest.raises(ZeroDivisionError):
        train(stopped, batches(), epochs=4, callbacks=[keep, Stop()], enable_checkpointing=True)
    train(resumed, batches(), epochs=4, resume=tmp_path / "last.ckpt")
    assert torch.equal(torch.cat(resumed.loss.weights), torch.cat(whole.loss.weights[2 * STEPS :]))
    assert_close(resumed.reweight.state_dict(), whole.reweight.state_dict(), rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
