"""The Lightning module: it trains whatever model with whatever loss, and knows neither by name."""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from dfer.datasets.base import ClipDataset
from dfer.datasets.partners import Partnered
from dfer.errors import InputError, ItemError
from dfer.losses import CrossEntropy
from dfer.metrics import evaluate
from dfer.optim.sam import frozen_statistics, total_norm
from dfer.reweight import AgreementReweighting, clip_agreement
from dfer.transforms.mix import ClipMix, mix_generator
from dfer.types import Batch, InputSpec, Output


def adamw(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """Build the papers' optimiser at its usual setting; ``fused`` is several times the speed on a CPU."""
    return torch.optim.AdamW(parameters, lr=5e-4, weight_decay=0.05, fused=True)


class Recognition(pl.LightningModule):
    """Train a model that maps a clip to an `Output` with a loss that takes ``(output, batch)``.

    The learning rate rises linearly over ``warmup_epochs``, then follows a cosine down to ``min_lr``, per step. What
    a part can only learn from the training set it learns in its own ``bind(train_dataset)``, called once.

    Args:
        optimizer: builds the optimiser; a loss's own parameters are trained without weight decay.
        mix: mixes each training batch once, before the step; its draws depend on (seed, epoch, step).
        reweight: weighs training clips in the loss by how the model saw them last; takes a model with ``clip_logits``.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = adamw,
        mix: ClipMix | None = None,
        warmup_epochs: int = 0,
        min_lr: float = 5e-6,
        reweight: AgreementReweighting | None = None,
    ) -> None:
        super().__init__()
        if warmup_epochs < 0 or min_lr < 0:
            raise ValueError(f"warmup_epochs {warmup_epochs} and min_lr {min_lr} must not be negative")
        if mix is not None:
            spec: Any = model.input_spec
            mix.check_frame(spec.size, spec.size)
        self.model = model
        self.loss = CrossEntropy() if loss is None else loss
        self.optimizer = optimizer
        self.mix = mix
        self.warmup_epochs = warmup_epochs
        self.min_lr = min_lr
        self.reweight = reweight
        self.validation_metrics: dict[str, float] = {}
        self.step_log: list[dict[str, float]] = []
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        self._train_sums = torch.zeros(3)
        self._pass = 0
        self._step = 0
        self._epoch_open = True

    def bind(self, dataset: ClipDataset, rows: Sequence[int] | NDArray[np.int64] | None = None) -> None:
        """Hand the training set to every part that asks for it.

        Args:
            rows: those that are trained on; None is all.
        """
        self.train_set = dataset
        self.clip_id = dataset.clip_id
        self.seed = dataset.seed
        for part in (self.model, self.loss):
            if callable(bind := getattr(part, "bind", None)):
                bind(dataset)
        if self.reweight is not None:
            self.reweight.bind(dataset, rows)

    @property
    def input_spec(self) -> InputSpec:
        """What the model wants to see."""
        return self.model.input_spec  # type: ignore[return-value]

    def forward(self, clip: Tensor) -> Output:
        return self.model(clip)  # type: ignore[no-any-return]

    def on_after_batch_transfer(self, batch: Batch | Partnered, dataloader_idx: int) -> Batch:
        """Mix a training batch, on its device; a step that looks at it twice sees the same."""
        partner = chosen = None
        if isinstance(batch, Partnered):
            batch, partner, chosen = batch
        if self.mix is None or not self.trainer.training:
            return batch
        generator = mix_generator(self.seed, self.current_epoch, self._step)
        self._step += 1
        return batch._replace(clip=self.mix(batch.clip, batch.label, generator, partner, chosen))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Count from here how often the optimiser has the batch looked at."""
        self._pass = 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Give the loss of a batch; refuse one that is not finite with the clips it came from.

        An optimiser may want it twice (`dfer.optim.SAM`): only the first pass moves running statistics and is logged.
        """
        self._pass += 1
        try:
            with frozen_statistics(self.model, self._pass > 1):
                output: Output = self(batch.clip)
        except ValueError as error:
            if len(batch.label) == 1 and "more than 1 value per channel" in str(error):
                raise InputError(
                    f"a batch of one clip of {self.input_spec.size} pixels is too little for batch norm; give another "
                    "--data.batch_size (the epoch's last batch is what is left over), or a larger --model.model.size"
                ) from error
            raise
        batch = self._reweighted(output, batch)
        loss: Tensor = self.loss(output, batch)
        self._require_finite(loss, batch, f"training, step {batch_idx}")
        if self._pass > 1:
            return loss
        if callable(diagnostics := getattr(self.loss, "diagnostics", None)):
            told: dict[str, Tensor] = diagnostics()
            values = torch.stack(list(told.values())).tolist() if told else []  # one wait for the device
            self.step_log.append({name: value for name, value in zip(told, values) if not math.isnan(value)})
        right = (output.logits.argmax(1) == batch.label).sum()
        self._train_sums += torch.stack(
            [loss.detach() * len(batch.label), right, right.new_tensor(len(batch.label))]
        ).cpu()
        return loss

    def _reweighted(self, output: Output, batch: Batch) -> Batch:
        """Set the clips' weights; record before, in a step's first pass, how the model saw them."""
        if self.reweight is None:
            return batch
        self.check_output(output)
        if self._pass == 1 and output.clip_logits is not None:
            loss = F.cross_entropy(output.logits.detach().float(), batch.label, reduction="none")  # (B,)
            row, agreement, loss = _to_host(batch.row, clip_agreement(output.clip_logits), loss)
            self.reweight.record(row, agreement, loss)
            self._weight = self.reweight.weight(row).to(batch.weight)  # (B,)
        return batch._replace(weight=batch.weight * self._weight)

    def check_output(self, output: Output) -> None:
        """Refuse a model whose output lacks what a part looks at.

        Raises:
            InputError: reweighting by agreement without ``clip_logits``.
        """
        if self.reweight is not None and output.clip_logits is None:
            raise InputError(
                f"{type(self.model).__name__} gives no clip_logits, whose agreement weighs the clips; give it windows "
                "(--model.model.window 4 for Recognizer), or switch this off with --model.reweight null"
            )

    def _require_finite(self, loss: Tensor, batch: Batch, where: str) -> None:
        if not torch.isfinite(loss):
            clips = ", ".join(self.clip_id(int(row)) for row in batch.row)
            raise ItemError(
                f"the loss became {loss.item()} in epoch {self.current_epoch}, {where}, on the clips {clips}; "
                "lower the learning rate, or look at these clips"
            )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Tell a loss that scales itself by the gradient its norm: of the first pass, before any clipping.

        It says that it wants to know by ``reads_grad_norm``. A second pass of the same step then sees the loss so
        scaled, as does the first of the next.
        """
        if self._pass == 1 and self._reads_norm():
            loss: Any = self.loss
            loss.update(total_norm(optimizer))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient that the step is made with, not that of a pass before."""
        if not gradient_clip_val or self._pass < getattr(optimizer, "passes", 1):
            return
        if _scales_gradients(self.trainer):  # Lightning knows which optimisers it may clip then
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            return
        weights = [p for group in optimizer.param_groups for p in group["params"]]
        if gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(weights, gradient_clip_val)
        else:
            torch.nn.utils.clip_grad_norm_(weights, gradient_clip_val)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's sums and its count of steps."""
        self._epoch_open = True
        self._train_sums = torch.zeros(3)
        self.step_log = []
        self._step = 0

    def end_epoch(self) -> None:
        """Make the ranks that serve the next epoch; the second call of an epoch does nothing.

        Callbacks come before this module's own hook: one that keeps the epoch's state calls it first.
        """
        if self.reweight is not None and self._epoch_open:
            self.reweight.end_epoch()
        self._epoch_open = False

    def on_train_epoch_end(self) -> None:
        """End the epoch under callbacks that have not."""
        self.end_epoch()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep how the model saw the training clips."""
        if self.reweight is not None:
            checkpoint["reweight"] = self.reweight.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        if self.reweight is not None and "reweight" in checkpoint:
            self.reweight.load_state_dict(checkpoint["reweight"])

    @property
    def training_metrics(self) -> dict[str, float]:
        """Mean loss and share of right answers over the epoch's training clips so far."""
        loss, right, count = self._train_sums.tolist()
        return {"loss": loss / max(count, 1), "war": right / max(count, 1)}

    @property
    def training_diagnostics(self) -> dict[str, float]:
        """What the loss said of itself, each the mean over the epoch's steps that have it; what reweighting found."""
        names = dict.fromkeys(name for row in self.step_log for name in row)
        means = {name: fmean(row[name] for row in self.step_log if name in row) for name in names}
        return means if self.reweight is None else means | self.reweight.diagnostics()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep logits and loss of a batch; figures are made over all clips at once."""
        output = self(batch.clip)
        loss = self.loss(output, batch).float()
        self._require_finite(loss + 0 * output.logits.float().sum(), batch, "validation")
        self._seen.append((batch.row, batch.label, output.logits.float(), loss.expand(len(batch.label))))

    def on_validation_epoch_end(self) -> None:
        """Measure all validation clips."""
        row, label, logits, loss = (torch.cat([part[i] for part in self._seen]) for i in range(4))
        self._seen.clear()
        if self.trainer.world_size > 1:
            gathered: list[Any] = [self.all_gather(part) for part in (row, label, logits, loss)]
            row, label, logits, loss = (part.flatten(0, 1) for part in gathered)
        first = torch.unique(row, return_inverse=True)[1]  # a distributed sampler may give a clip twice
        keep = torch.zeros(int(first.max()) + 1, dtype=torch.long, device=row.device)
        keep[first] = torch.arange(len(row), device=row.device)
        found = evaluate(logits[keep].softmax(1), label[keep])
        self.validation_metrics = {name: float(found[name]) for name in ("war", "uar", "ece", "nll", "brier")}
        self.validation_metrics["loss"] = float(loss.mean())

    def build_optimizer(self, trainer: pl.Trainer) -> torch.optim.Optimizer:
        """Build the optimiser.

        Raises:
            InputError: settings that it does not take, or a trainer that it does not go with.
        """
        groups: list[dict[str, Any]] = [{"params": [p for p in self.model.parameters() if p.requires_grad]}]
        if own := [p for p in self.loss.parameters() if p.requires_grad]:
            groups.append({"params": own, "weight_decay": 0.0})
        try:
            optimizer = self.optimizer(groups)
        except ValueError as error:
            raise InputError(f"--model.optimizer: {error}") from error
        self._check_passes(optimizer, trainer)
        return optimizer

    def configure_optimizers(self) -> Any:
        """Build the optimiser, and the schedule per step."""
        optimizer = self.build_optimizer(self.trainer)
        steps = int(self.trainer.estimated_stepping_batches)
        warmup = min(self.warmup_epochs * steps // max(self.trainer.max_epochs or 1, 1), steps - 1)
        cosine = CosineAnnealingLR(optimizer, T_max=max(steps - warmup, 1), eta_min=self.min_lr)
        if warmup == 0:
            return [optimizer], [{"scheduler": cosine, "interval": "step"}]
        rise = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
        schedule = SequentialLR(optimizer, [rise, cosine], milestones=[warmup])
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def _check_passes(self, optimizer: torch.optim.Optimizer, trainer: pl.Trainer) -> None:
        name = type(optimizer).__name__
        twice = getattr(optimizer, "passes", 1) > 1
        if not (twice or self._reads_norm()):
            return
        if twice and trainer.accumulate_grad_batches != 1:
            raise InputError(
                f"{name} looks at each batch twice, which gradients accumulated over {trainer.accumulate_grad_batches} "
                "batches do not allow; give --trainer.accumulate_grad_batches 1 and another --data.batch_size"
            )
        if twice and str(trainer.precision) == "bf16-true":
            raise InputError(f"weights in bfloat16 are too coarse for {name}'s small move; give bf16-mixed or 32-true")
        if _scales_gradients(trainer):
            part = name if twice else type(self.loss).__name__
            raise InputError(
                f"{part} reads the gradient's norm, which float16 scales (--trainer.precision {trainer.precision}); "
                "give bf16-mixed or 32-true"
            )

    def _reads_norm(self) -> bool:
        return bool(getattr(self.loss, "reads_grad_norm", False))


def _to_host(row: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
    """Bring rows and float32 values to the CPU in one copy, bit for bit: the device is waited for once."""
    bits = torch.stack([row, *(value.view(torch.int32).long() for value in values)]).cpu()
    return bits[0], *(part.int().view(torch.float32) for part in bits[1:])


def _scales_gradients(trainer: pl.Trainer) -> bool:
    return str(trainer.precision).startswith("16")
