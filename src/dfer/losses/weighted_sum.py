"""Several losses as one."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dfer.types import Batch, Output


class WeightedSum(nn.Module):
    """Add losses, each times its weight.

    A part that contains cross-entropy says so by ``include_ce``; at most one part may, so that it is counted once.
    A part that asks for the gradient's norm says so by ``reads_grad_norm``, and is told in ``update``.

    Raises:
        ValueError: no parts, not one finite weight each, or cross-entropy counted twice.

    Example:
        >>> import torch
        >>> from dfer.losses import CrossEntropy
        >>> loss = WeightedSum([CrossEntropy()], weights=[0.5])
        >>> batch = Batch(torch.zeros(1, 3, 1, 1, 1), torch.tensor([0]), torch.tensor([0]), torch.ones(1))
        >>> loss(Output(torch.zeros(1, 7), torch.zeros(1, 4)), batch)
        tensor(0.9730)
    """

    def __init__(self, losses: list[nn.Module], weights: list[float]) -> None:
        super().__init__()
        if not losses or len(losses) != len(weights) or not all(math.isfinite(weight) for weight in weights):
            raise ValueError(f"{len(losses)} losses with weights {list(weights)}; give one finite weight each")
        counted = [type(part).__name__ for part in losses if getattr(part, "include_ce", False)]
        if len(counted) > 1:
            raise ValueError(f"cross-entropy counted by {' and '.join(counted)}; give include_ce=False to all but one")
        self.losses: Sequence[nn.Module] = nn.ModuleList(losses)  # type: ignore[assignment]
        self.weights = tuple(weights)
        self.include_ce = bool(counted)
        self.reads_grad_norm = any(getattr(part, "reads_grad_norm", False) for part in losses)

    def bind(self, train_dataset: object) -> None:
        """Tell every part that asks for it what is trained on."""
        for part in self.losses:
            bind = getattr(part, "bind", None)
            if bind is not None:
                bind(train_dataset)

    def update(self, grad_norm: float | Tensor) -> None:
        """Tell every part that asks for it the norm of the sum's gradient."""
        for part in self.losses:
            if getattr(part, "reads_grad_norm", False):
                part.update(grad_norm)  # type: ignore[operator]

    def diagnostics(self) -> dict[str, Tensor]:
        """Collect what the parts report of themselves; of two of the same name, the later part's."""
        found: dict[str, Tensor] = {}
        for part in self.losses:
            report = getattr(part, "diagnostics", None)
            if report is not None:
                found |= report()
        return found

    def forward(self, output: Output, batch: Batch) -> Tensor:
        terms = [weight * loss(output, batch) for weight, loss in zip(self.weights, self.losses)]
        return torch.stack(terms).sum()
