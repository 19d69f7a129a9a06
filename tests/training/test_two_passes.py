"""Training with an optimiser that looks at each batch twice, and with a loss that asks for the gradient's norm."""

import copy
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.testing import assert_close
from torch.utils.data import DataLoader

from dfer.errors import InputError, ItemError
from dfer.labels import BASIC
from dfer.losses import CrossEntropy, DistributionAwareLoss, WeightedSum
from dfer.modules import DAM
from dfer.optim import SAM, frozen_statistics
from dfer.training.module import Recognition
from dfer.transforms import ClipMix
from dfer.transforms.mix import mix_generator
from dfer.types import Batch, InputSpec, Output

RHO = 0.5


class Net(nn.Module):
    """Small, with both kinds of running statistics; keeps what it was shown in training, and what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.input_spec = InputSpec(2, 8, BASIC)
        self.conv = nn.Conv3d(3, 6, 1, bias=False)
        self.norm = nn.BatchNorm3d(6)
        self.dam = DAM(6, 2)
        self.classifier = nn.Linear(6, 7)
        self.shown: list[Tensor] = []
        self.said: list[Tensor] = []

    def forward(self, clip: Tensor) -> Output:
        embedding = torch.tanh(self.dam(self.norm(self.conv(clip.float() / 255)))).mean((2, 3, 4))
        output = Output(self.classifier(embedding), embedding)
        if self.training:
            self.shown.append(clip)
            self.said.append(output.logits.detach().float())
        return output


class ByNorm(nn.Module):
    """Cross-entropy times the latest norm, 1 at first; keeps what is asked of it, in order."""

    reads_grad_norm = True

    def __init__(self) -> None:
        super().__init__()
        self.norm = 1.0
        self.asked: list[tuple[str, float]] = []

    def update(self, grad_norm: Tensor) -> None:
        self.norm = float(grad_norm)
        self.asked.append(("update", self.norm))

    def diagnostics(self) -> dict[str, Tensor]:
        return {"norm": torch.tensor(self.norm), "double": torch.tensor(2 * self.norm)}

    def forward(self, output: Output, batch: Batch) -> Tensor:
        self.asked.append(("forward", self.norm))
        return self.norm * nn.functional.cross_entropy(output.logits, batch.label)


class Watched(torch.optim.AdamW):
    """Keeps the gradients that it steps with."""

    seen: list[list[Tensor]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = [p.grad.clone() for group in self.param_groups for p in group["params"] if p.grad is not None]
        self.seen = [*getattr(self, "seen", []), gradients]
        super().step()
        return loss


watched = partial(Watched, lr=1e-2, fused=True)
sam = partial(SAM, base_optimizer=watched, rho=RHO)


def batches(count: int, size: int = 6) -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    return [
        Batch(
            torch.randint(0, 256, (size, 3, 2, 8, 8), dtype=torch.uint8, generator=generator),
            torch.arange(size) % 3,
            torch.arange(size) + size * number,
            torch.ones(size),
        )
        for number in range(count)
    ]


def build(optimizer: Any = sam, loss: nn.Module | None = None, mix: ClipMix | None = None) -> Recognition:
    torch.manual_seed(0)
    module = Recognition(Net(), loss, optimizer, mix)
    module.bind(SimpleNamespace(clip_id=lambda row: f"clip {row}", seed=4))  # type: ignore[arg-type]
    return module


def train(module: Recognition, data: list[Batch], **settings: Any) -> Any:
    """Train one epoch, and give the optimiser."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # as in `dfer.training.fit`
        trainer = pl.Trainer(**{"accelerator": "cpu", "max_epochs": 1, **quiet, **settings})  # type: ignore[arg-type]
        trainer.fit(module, train_dataloaders=DataLoader(data, batch_size=None))  # type: ignore[arg-type]
    assert trainer.global_step == len(data) // trainer.accumulate_grad_batches
    return module.optimizers(use_pl_optimizer=False)


def gradients(module: Recognition, batch: Batch, bfloat16: bool = False) -> list[Tensor]:
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = module.loss(module.model(batch.clip), batch)
    loss.backward()
    return [p.grad.clone() for p in module.model.parameters() if p.grad is not None]


def whole_norm(parts: list[Tensor]) -> float:
    return float(torch.cat([part.flatten() for part in parts]).norm())


def twice_by_hand(module: Recognition, batch: Batch, bfloat16: bool = False) -> tuple[float, list[Tensor]]:
    """Give the first pass's norm, and the gradient at the worst point nearby."""
    module = copy.deepcopy(module).train()
    first = gradients(module, batch, bfloat16)
    with torch.no_grad():
        for weight, gradient in zip(module.model.parameters(), first, strict=True):
            weight += RHO * gradient / whole_norm(first)
    with frozen_statistics(module.model):
        return whole_norm(first), gradients(module, batch, bfloat16)


@pytest.fixture(params=["32-true", "bf16-mixed"])
def precision(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_norm_is_unclipped_and_the_step_is_clipped(precision: str) -> None:
    (batch,) = batches(1)
    module = build(loss=ByNorm())
    first, _ = twice_by_hand(module, batch, precision == "bf16-mixed")
    module.loss.norm = first  # the second pass is made with the new factor
    _, second = twice_by_hand(module, batch, precision == "bf16-mixed")
    module.loss = ByNorm()
    optimizer = train(module, [batch], gradient_clip_val=1e-3, precision=precision)
    close = {"rtol": 1e-4, "atol": 1e-8} if precision == "32-true" else {"rtol": 0.1, "atol": 1e-5}
    assert float(optimizer.grad_norm) == pytest.approx(first, rel=1e-5)
    assert module.loss.asked[1] == ("update", pytest.approx(first, rel=1e-5))
    (stepped,) = optimizer.base_optimizer.seen
    assert whole_norm(stepped) == pytest.approx(1e-3, rel=1e-3)
    assert_close(stepped, [part * (1e-3 / whole_norm(second)) for part in second], **close)


def test_clipping_by_value(precision: str) -> None:
    (batch,) = batches(1)
    module = build()
    first, second = twice_by_hand(module, batch, precision == "bf16-mixed")
    optimizer = train(module, [batch], gradient_clip_val=1e-3, gradient_clip_algorithm="value", precision=precision)
    assert float(optimizer.grad_norm) == pytest.approx(first, rel=1e-5)
    (stepped,) = optimizer.base_optimizer.seen
    close = {"rtol": 1e-4, "atol": 1e-7} if precision == "32-true" else {"rtol": 0.1, "atol": 2e-4}
    assert_close(stepped, [part.clamp(-1e-3, 1e-3) for part in second], **close)
    assert max(float(part.abs().max()) for part in second) > 1e-2


def test_without_clipping_the_step_has_the_second_gradient() -> None:
    (batch,) = batches(1)
    module = build()
    _, second = twice_by_hand(module, batch)
    (stepped,) = train(module, [batch]).base_optimizer.seen
    assert_close(stepped, second, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_plain_fused_optimiser_is_clipped_too_and_its_loss_told_the_norm_before(
    precision: str, algorithm: str
) -> None:
    (batch,) = batches(1)
    module = build(watched, ByNorm())
    first, _ = twice_by_hand(module, batch, precision == "bf16-mixed")
    module.loss = ByNorm()
    settings = {"gradient_clip_val": 1e-3, "gradient_clip_algorithm": algorithm, "precision": precision}
    (stepped,) = train(module, [batch], **settings).seen
    found = whole_norm(stepped) if algorithm == "norm" else max(float(part.abs().max()) for part in stepped)
    assert found == pytest.approx(1e-3, rel=1e-3)
    assert module.loss.asked == [("forward", 1.0), ("update", pytest.approx(first, rel=1e-5))]


def test_running_statistics_count_one_batch_a_step() -> None:
    data = batches(3)
    plain, twice = build(watched), build(sam)
    start = copy.deepcopy(twice.model.state_dict())
    for module in (plain, twice):
        train(module, data[:1])
    for name, value in plain.model.state_dict().items():
        if "running" in name or "tracked" in name:
            assert torch.equal(value, twice.model.state_dict()[name]), name
            assert not torch.equal(value, start[name]), name
    assert sum("running" in name for name in start) == 3  # batch norm's two and DAM's
    train(twice := build(sam), data)
    assert twice.model.norm.num_batches_tracked == 3
    assert twice.model.norm.track_running_stats
    assert twice.model.norm.momentum == 0.1


def test_both_passes_see_the_same_mixed_clip() -> None:
    data, mix = batches(3), ClipMix(ratio=1.0, block_size=4)
    module = build(mix=mix)
    train(module, data)
    shown = module.model.shown
    assert len(shown) == 6
    for step, batch in enumerate(data):
        mixed = mix(batch.clip, batch.label, mix_generator(4, 0, step))
        assert not torch.equal(mixed, batch.clip)
        assert torch.equal(shown[2 * step], mixed)
        assert torch.equal(shown[2 * step + 1], mixed)


def test_the_training_figures_are_the_first_passes_alone() -> None:
    data = [*batches(3), batches(1, size=3)[0]]
    module = build()
    train(module, data)
    said = module.model.said
    assert len(said) == 8
    figures = []
    for some in (said[::2], said[1::2]):
        loss = sum(
            float(nn.functional.cross_entropy(logits, batch.label, reduction="sum"))
            for logits, batch in zip(some, data, strict=True)
        )
        right = sum(int((logits.argmax(1) == batch.label).sum()) for logits, batch in zip(some, data))
        figures.append({"loss": pytest.approx(loss / 21, rel=1e-5), "war": pytest.approx(right / 21)})
    assert module.training_metrics == figures[0]
    assert module.training_metrics != figures[1]


def test_a_loss_is_told_the_norm_between_the_passes() -> None:
    module = build(loss=ByNorm())
    data = batches(3)
    first, _ = twice_by_hand(module, data[0])
    module.loss = ByNorm()
    optimizer = train(module, data)
    asked = module.loss.asked
    assert [what for what, _ in asked] == ["forward", "update", "forward"] * 3
    norms = [norm for what, norm in asked if what == "update"]
    assert norms[0] == pytest.approx(first, rel=1e-5)
    assert norms[-1] == float(optimizer.grad_norm)
    assert [norm for what, norm in asked if what == "forward"] == [
        1.0,
        norms[0],
        norms[0],
        norms[1],
        norms[1],
        norms[2],
    ]
    assert len(set(norms)) == 3
    logged = [1.0, norms[0], norms[1]]  # what the first passes were made with
    assert module.step_log == [{"norm": norm, "double": 2 * norm} for norm in logged]
    assert module.training_diagnostics == pytest.approx({"norm": sum(logged) / 3, "double": 2 * sum(logged) / 3})


def test_without_a_second_pass_the_next_step_sees_the_norm() -> None:
    module = build(watched, ByNorm())
    train(module, batches(3))
    asked = module.loss.asked
    assert [what for what, _ in asked] == ["forward", "update"] * 3
    norms = [norm for what, norm in asked if what == "update"]
    assert [norm for what, norm in asked if what == "forward"] == [1.0, norms[0], norms[1]]


def test_accumulated_gradients_tell_a_loss_once_a_step() -> None:
    module = build(watched, ByNorm())
    optimizer = train(module, batches(4), accumulate_grad_batches=2)
    asked = module.loss.asked
    assert [what for what, _ in asked] == ["forward", "forward", "update"] * 2
    assert [norm for what, norm in asked if what == "update"] == pytest.approx([whole_norm(g) for g in optimizer.seen])


@pytest.mark.parametrize("optimizer", [sam, watched])
def test_the_lambdas_change_between_the_passes_of_a_step(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[float, float]] = []
    real = DistributionAwareLoss.forward

    def forward(self: DistributionAwareLoss, output: Output, batch: Batch) -> Tensor:
        used.append((float(self.lambda_ce), float(self.lambda_sc)))
        return real(self, output, batch)

    monkeypatch.setattr(DistributionAwareLoss, "forward", forward)
    module = build(optimizer, DistributionAwareLoss(min_grad_norm=0.0))
    first, _ = twice_by_hand(module, batches(1)[0])
    used.clear()
    module.loss = DistributionAwareLoss(min_grad_norm=0.0)
    built = train(module, batches(3))
    assert used[0] == (0.5, 0.5)  # g = 1 before any is known
    assert used[1] == pytest.approx((first / (first + 1), 1 / (first + 1)), rel=1e-5)
    assert abs(first - 1) > 0.05
    assert [row["lambda_ce"] for row in module.step_log] == [ce for ce, _ in used][:: getattr(built, "passes", 1)]
    if isinstance(built, SAM):
        assert len(used) == 6
        assert used[1] == used[2]  # in force until the next norm
        assert used[2] != used[3]
        assert module.loss.grad_norm == built.grad_norm
    else:
        assert len(used) == 3


@pytest.mark.parametrize(
    ("optimizer", "loss", "named"),
    [(sam, CrossEntropy, "SAM"), (sam, ByNorm, "SAM"), (watched, ByNorm, "ByNorm")],
)
@pytest.mark.parametrize("precision", ["16-true", "16-mixed"])
def test_float16_is_refused(optimizer: Any, loss: Callable[[], nn.Module], named: str, precision: Any) -> None:
    how = {"precision": precision} if precision == "16-true" else {"plugins": MixedPrecision("16-mixed", "cpu")}
    with pytest.raises(InputError, match=rf"^{named} .*float16.*--trainer\.precision {precision}\b.*bf16-mixed"):
        train(build(optimizer, loss()), batches(1), **how)


def test_float16_is_not_refused_to_a_sum_of_losses_that_ask_for_no_norm() -> None:
    module = build(watched, WeightedSum([CrossEntropy()], [1.0]))
    train(module, batches(1), plugins=MixedPrecision("16-mixed", "cpu", GradScaler("cpu", init_scale=1.0)))
    assert not any(module.step_log)
    with pytest.raises(InputError, match=r"^WeightedSum .*float16"):
        train(build(watched, WeightedSum([CrossEntropy(), ByNorm()], [1.0, 0.5])), batches(1), precision="16-true")


def test_accumulated_gradients_are_refused_to_two_passes() -> None:
    with pytest.raises(InputError, match=r"^SAM looks at each batch twice.*--trainer\.accumulate_grad_batches 1"):
        train(build(), batches(2), accumulate_grad_batches=2)


@pytest.mark.parametrize("failing", [1, 2])
def test_a_loss_that_is_not_finite_in_either_pass_is_the_same_line_and_moves_nothing(failing: int) -> None:
    class Failing(nn.Module):
        calls = 0

        def forward(self, output: Output, batch: Batch) -> Tensor:
            self.calls += 1
            loss = nn.functional.cross_entropy(output.logits, batch.label)
            return loss * float("nan") if self.calls == failing else loss

    module = build(loss=Failing())
    before = copy.deepcopy(dict(module.model.named_parameters()))
    with pytest.raises(ItemError) as caught:
        train(module, batches(1, size=2))
    assert str(caught.value) == (
        "the loss became nan in epoch 0, training, step 0, on the clips clip 0, clip 1; "
        "lower the learning rate, or look at these clips"
    )
    assert module.loss.calls == failing
    for name, weight in module.model.named_parameters():
        assert torch.equal(weight, before[name])
