"""Agreement-based reweighting: clips that a model cannot agree on count more, agreed ones with a large loss nothing."""

import math
from collections.abc import Mapping, Sequence, Sized
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, distributed

from dfer.reweight.ranks import HARD, NOISY, ORDINARY, RankBy, check_choice, check_fractions, doubles, verdicts


def clip_agreement(clip_logits: Tensor) -> Tensor:
    """Measure the share of a video's clips that are predicted as its most predicted class.

    Paper: RDFER, Sec. III-A and Eq. 1. Equal shares are equal floats, so that they tie when they are ranked. One clip
    always agrees with itself.

    Shape:
        ``(B, N, K)`` -> ``(B,)`` float32.

    Raises:
        ValueError: another shape, or no clip or class in it.

    Example:
        >>> neutral, happy, surprise = torch.eye(3)
        >>> clip_agreement(torch.stack([neutral, surprise, happy, happy])[None])
        tensor([0.5000])
    """
    if clip_logits.ndim != 3 or 0 in clip_logits.shape[1:]:
        raise ValueError(f"clip_logits of shape {tuple(clip_logits.shape)} are not (B, N, K) with a clip and a class")
    predicted = clip_logits.detach().argmax(dim=2)  # (B, N)
    votes = (predicted[:, :, None] == predicted[:, None, :]).sum(dim=2)  # (B, N), for the class of each clip
    most = votes.amax(dim=1).float()  # (B,)
    return most / torch.full_like(most, predicted.shape[1])  # by a number, CUDA would multiply with its inverse


class AgreementReweighting:
    """Weigh training clips by the agreement and the loss with which the model saw them last; see `verdicts`.

    Paper: RDFER, Sec. III-A, Eq. 2, and Table IV. Each step records its clips; at the end of an epoch, ranks are made
    over the whole training set and serve the next. The loss that is ranked is the plain cross-entropy of each clip.
    Unlike the paper, which does not say what is ranked before every clip has been seen, a row without a record
    weighs 1 and is not ranked, and the last record of a row counts.

    Everything stays on the CPU. In several processes `end_epoch` takes the records of all: of a row that several
    recorded in this epoch, the one of the later step, then of the higher rank.

    Args:
        num_samples: rows of the training set; None until `bind`.
        warmup_epochs: calls of `end_epoch` until which all weights are 1; ranks are made all the same.
        scope: ``batch`` ranks just the rows asked for, by their latest records in this process, the fractions being of
            that batch; a row that is in it twice is ranked once.

    Attributes:
        agreement, loss: latest record of each row, ``(num_samples,)`` float32, NaN where there is none.
        total: number of rows that the fractions are of: those that are trained on.
        epochs: calls of `end_epoch` so far.

    Raises:
        ValueError: fractions outside [0, 1] or adding to more than 1, weights or a warm-up below 0, another ``rank_by``
            or ``scope``; any use before the number of rows is known.

    Example:
        >>> reweight = AgreementReweighting(4, hard_fraction=0.25, noisy_fraction=0.25, warmup_epochs=1)
        >>> reweight.record([0, 1, 2], agreement=[1.0, 0.5, 1.0], loss=[0.1, 0.7, 2.5])
        >>> reweight.weight([0, 1, 2, 3])
        tensor([1., 1., 1., 1.])
        >>> reweight.end_epoch()
        >>> reweight.weight([0, 1, 2, 3])
        tensor([1.0000, 1.5000, 0.0000, 1.0000])
    """

    agreement: Tensor
    loss: Tensor

    def __init__(
        self,
        num_samples: int | None = None,
        hard_fraction: float = 0.2,
        noisy_fraction: float = 0.1,
        hard_weight: float = 1.5,
        noisy_weight: float = 0.0,
        warmup_epochs: int = 10,
        rank_by: RankBy = "agreement",
        scope: Literal["dataset", "batch"] = "dataset",
    ) -> None:
        check_fractions(hard_fraction, noisy_fraction)
        for name, value in (("hard_weight", hard_weight), ("noisy_weight", noisy_weight)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} {value} must be finite and not negative; 1 leaves those clips as they are")
        if not isinstance(warmup_epochs, int) or warmup_epochs < 0:
            raise ValueError(f"warmup_epochs {warmup_epochs!r} must not be negative, nor a fraction; 0 is no warm-up")
        check_choice("rank_by", rank_by, ("agreement", "loss"))
        check_choice("scope", scope, ("dataset", "batch"))
        self.hard_fraction = hard_fraction
        self.noisy_fraction = noisy_fraction
        self.weights = torch.tensor([1.0, hard_weight, noisy_weight], device="cpu")  # by verdict
        self.warmup_epochs = warmup_epochs
        self.rank_by: RankBy = rank_by
        self.scope = scope
        self.num_samples: int | None = None
        if num_samples is not None:
            self._make_room(num_samples)

    def bind(self, dataset: Sized, rows: Sequence[int] | NDArray[np.int64] | None = None) -> None:
        """Take the number of rows from the training set; records of one of that size stay.

        Args:
            rows: those that are trained on, where some are held out; the fractions are of them.

        Raises:
            ValueError: a training set of another size than before, or no row in it.
        """
        if self.num_samples is None:
            self._make_room(len(dataset))
        if len(dataset) != self.num_samples:
            raise ValueError(f"a training set of {len(dataset)} clips, where num_samples is {self.num_samples}")
        self.total = len(dataset) if rows is None else len(rows)

    def record(
        self, row: Tensor | ArrayLike | int, agreement: Tensor | ArrayLike | float, loss: Tensor | ArrayLike | float
    ) -> None:
        """Keep how the model saw some rows; of a row that comes twice the last counts.

        Shape:
            three times ``(B,)``, or three numbers.

        Raises:
            ValueError: a row that the training set does not have, lengths that differ, agreement outside [0, 1].
        """
        at = self._rows(row).reshape(-1).numpy()
        share, size = _floats(agreement), _floats(loss)
        if not len(at) == len(share) == len(size):
            raise ValueError(f"{len(at)} rows, {len(share)} agreements and {len(size)} losses; give one of each a clip")
        if wrong := [float(value) for value in share if not 0 <= value <= 1]:
            raise ValueError(f"agreement {wrong[0]} is not in [0, 1]; it is a share of clips")
        self._write(at, share, size, np.full(len(at), self._step))
        self._step += 1

    def weight(self, row: Tensor | ArrayLike | int) -> Tensor:
        """Give the weight of each row in the loss.

        Shape:
            ``(B,)`` -> ``(B,)`` float32, on its device.

        Raises:
            ValueError: a row that the training set does not have.
        """
        at = self._rows(row)
        device = row.device if isinstance(row, Tensor) else at.device
        if self.epochs < self.warmup_epochs:
            return torch.ones(at.shape, device=device)
        if self.scope == "dataset":
            return self.weights[self._verdict[at]].to(device)
        rows, place = torch.unique(at, return_inverse=True)  # ascending, as ties go by row
        return self.weights[self._verdicts(self.agreement[rows], self.loss[rows], at.numel())][place].to(device)

    def end_epoch(self) -> None:
        """Make the ranks that serve the next epoch, over the records of all processes."""
        self._require_room()
        if distributed.is_available() and distributed.is_initialized():
            self._gather()
        self._verdict = self._verdicts(self.agreement, self.loss, self.total)
        self._at.fill_(-1)
        self._step = 0
        self.epochs += 1

    def verdict(self) -> Tensor:
        """Give the verdict of each row at the latest end of an epoch, also during warm-up.

        Shape:
            ``(num_samples,)`` int64.
        """
        self._require_room()
        return self._verdict

    def diagnostics(self) -> dict[str, float]:
        """Say which share of the rows is hard and noisy, and the mean agreement of those with a record."""
        self._require_room()
        count = torch.bincount(self._verdict, minlength=3).tolist()
        of = max(self.total, 1)
        told = {"hard": count[HARD] / of, "noisy": count[NOISY] / of}
        mean = float(self.agreement.nanmean(dtype=torch.float64))
        return told if math.isnan(mean) else {**told, "agreement": mean}

    def state_dict(self) -> dict[str, Any]:
        """Give all that `load_state_dict` needs to go on from here, in plain tensors and numbers."""
        self._require_room()
        tensors = {"agreement": self.agreement, "loss": self.loss, "verdict": self._verdict, "at": self._at}
        copies = {name: value.clone() for name, value in tensors.items()}
        return {**copies, "total": self.total, "step": self._step, "epochs": self.epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            ValueError: a state of another number of rows.
        """
        self._require_room()
        if len(state["agreement"]) != self.num_samples:
            raise ValueError(f"a state of {len(state['agreement'])} clips, where num_samples is {self.num_samples}")
        self.agreement, self.loss = state["agreement"].clone().cpu(), state["loss"].clone().cpu()
        self._verdict, self._at = state["verdict"].clone().cpu(), state["at"].clone().cpu()
        self.total, self._step, self.epochs = int(state["total"]), int(state["step"]), int(state["epochs"])

    def _make_room(self, num_samples: int) -> None:
        if not isinstance(num_samples, int) or num_samples < 1:
            raise ValueError(f"num_samples {num_samples!r} must be a whole number, at least 1")
        self.num_samples = self.total = num_samples
        self.agreement = torch.full((num_samples,), math.nan, device="cpu")  # whatever the default is
        self.loss = self.agreement.clone()
        self._verdict = torch.full((num_samples,), ORDINARY, device="cpu")
        self._at = torch.full((num_samples,), -1, device="cpu")  # the step of this epoch that recorded a row
        self._step = 0
        self.epochs = 0

    def _require_room(self) -> int:
        if self.num_samples is None:
            raise ValueError("how many rows there are is not known; give num_samples, or call bind(train_set)")
        return self.num_samples

    def _rows(self, row: Tensor | ArrayLike | int) -> Tensor:
        size = self._require_room()
        found = (row.detach() if isinstance(row, Tensor) else torch.from_numpy(np.array(row))).cpu()
        if found.numel() == 0:
            return found.long()
        if found.is_floating_point() or found.dtype == torch.bool:
            raise ValueError(f"rows of type {found.dtype} are no whole numbers")
        low, high = (int(value) for value in found.aminmax())
        if low < 0 or high >= size:
            raise ValueError(f"row {low if low < 0 else high} is not one of the {size} of the training set")
        return found.long()

    def _verdicts(self, agreement: Tensor, loss: Tensor, total: int) -> Tensor:
        return verdicts(
            agreement,
            loss,
            hard_fraction=self.hard_fraction,
            noisy_fraction=self.noisy_fraction,
            rank_by=self.rank_by,
            total=total,
        )

    def _write(self, row: NDArray[Any], agreement: NDArray[Any], loss: NDArray[Any], step: NDArray[Any]) -> None:
        # through NumPy, where the last of equal indices counts; torch does not say which
        self.agreement.numpy()[row] = agreement
        self.loss.numpy()[row] = loss
        self._at.numpy()[row] = step

    def _gather(self) -> None:
        own = (self._at >= 0).nonzero().squeeze(1)
        told = tuple(part.numpy() for part in (own, self.agreement[own], self.loss[own], self._at[own]))
        of_all: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(of_all, told)
        row, agreement, loss, step = (np.concatenate(parts) for parts in zip(*of_all))
        order = np.argsort(step, kind="stable")  # of the same step, the higher rank comes last
        self._write(row[order], agreement[order], loss[order], step[order])


def _floats(values: Tensor | ArrayLike) -> NDArray[np.float32]:
    return doubles(values).astype(np.float32).reshape(-1)
