"""Sharpness-aware minimisation: step with the gradient of the worst point nearby."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT


class SAM(Optimizer):
    """Take the gradient where the loss is worst within ``rho``, then step from where the weights were.

    Paper: Foret et al. 2021, "Sharpness-Aware Minimization", Algorithm 1; HDF, Sec. 4.2.2, whose gradient-driven
    scaling reads `grad_norm`. Unlike HDF, which gives no radius, ``rho`` is the 0.05 of Foret et al.

    ``step`` calls its closure twice, so the closure zeroes the gradients, computes the loss and runs backward, as
    torch's closures do. During the second call the weights are moved and `second_pass` is true; what must look at a
    batch only once (running statistics, logs) asks it:

        def closure():
            optimizer.zero_grad()
            with frozen_statistics(model, optimizer.second_pass):
                loss = criterion(model(clip), label)
            loss.backward()
            return loss

    The inner optimiser's groups and state are this one's, so a scheduler drives both and ``state_dict`` is the inner
    one's. Gradients in float16 behind a scaler, or accumulated over several steps, are not gradients of one loss at one
    point: do not mix them with SAM. Weights in bfloat16 are too coarse for so small a move; autocast is fine.

    Args:
        params: tensors or groups, as for any optimiser.
        base_optimizer: builds the inner optimiser from ``params``, e.g. ``partial(torch.optim.AdamW, fused=True)``.
        rho: how far the weights move for the second pass.

    Attributes:
        grad_norm: norm of the whole gradient in the first pass of the latest step, unclipped, 0-d; NaN before any.
        second_pass: whether the closure is being called for the second time.
        passes: how many times a step calls its closure.

    Raises:
        ValueError: a radius that is not positive and finite; a step without a closure.

    Example:
        >>> weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = SAM([weight], lambda params: torch.optim.SGD(params, lr=0.1), rho=0.5)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square().sum() / 2
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure), optimizer.grad_norm  # to w - 0.1 * (w + 0.5 * w / 5)
        (tensor(12.5000, grad_fn=<DivBackward0>), tensor(5.))
        >>> weight.detach()
        tensor([2.6700, 3.5600])
    """

    passes = 2

    def __init__(self, params: ParamsT, base_optimizer: Callable[[ParamsT], Optimizer], rho: float = 0.05) -> None:
        if not 0 < rho < math.inf:
            raise ValueError(f"rho {rho} is not positive and finite; SAM's authors take 0.05")
        self.base_optimizer = base_optimizer(params)
        super().__init__(self.base_optimizer.param_groups, {})
        self.rho = rho
        self.second_pass = False
        self.grad_norm = torch.tensor(math.nan)
        self._share()

    def _share(self) -> None:
        self.defaults = self.base_optimizer.defaults
        self.param_groups = self.base_optimizer.param_groups
        self.state = self.base_optimizer.state

    def __getstate__(self) -> dict[str, Any]:
        """Keep what a copy needs: torch's own keeps no inner optimiser."""
        return super().__getstate__() | {"base_optimizer": self.base_optimizer, "rho": self.rho}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "base_optimizer" in state:  # a copy; torch calls this for a loaded state too
            self.second_pass, self.grad_norm = False, torch.tensor(math.nan)
            self._share()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what ``state_dict`` gave: the inner optimiser's state."""
        self.base_optimizer.load_state_dict(state_dict)
        self._share()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the inner optimiser."""
        if "base_optimizer" in self.__dict__ and self.param_groups is self.base_optimizer.param_groups:
            self.base_optimizer.add_param_group(param_group)
        else:  # while torch's own constructor looks at the groups
            super().add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Call the closure here and at the worst point nearby, then step; gives the first call's loss.

        Raises:
            ValueError: without a closure.
        """
        if closure is None:
            raise ValueError("SAM.step needs a closure that zeroes the gradients, computes the loss and runs backward")
        with torch.enable_grad():
            loss = closure()
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad for p in weights]
        self.grad_norm = get_total_norm(gradients)
        before = [p.clone() for p in weights]  # exactly where to come back to
        self.second_pass = True
        try:
            if weights:
                torch._foreach_add_(weights, torch._foreach_mul(gradients, self.rho / (self.grad_norm + 1e-12)))
            self.zero_grad()
            torch.clear_autocast_cache()  # it holds the weights from before
            with torch.enable_grad():
                closure()
        finally:
            self.second_pass = False
            if weights:
                torch._foreach_copy_(weights, before)
            torch.clear_autocast_cache()
        self.base_optimizer.step()
        return loss


@contextmanager
def frozen_statistics(model: nn.Module, frozen: bool = True) -> Iterator[None]:
    """Let no module's running statistics move, while batches are still normalised by their own.

    That is what the second of SAM's passes needs: it looks at a batch a second time, with weights that are not the
    model's. A module with running statistics says so by ``track_running_stats``, as torch's batch norms do.

    Args:
        frozen: False does nothing, for a closure that asks ``optimizer.second_pass``.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> with frozen_statistics(norm):
        ...     normalised = norm(torch.tensor([[1.0], [3.0]]))
        >>> normalised.detach().flatten(), norm.running_mean, norm.num_batches_tracked
        (tensor([-1.0000,  1.0000]), tensor([0.]), tensor(0))
    """
    tracking: list[Any] = [
        part for part in model.modules() if frozen and part.training and getattr(part, "track_running_stats", False)
    ]
    momenta = [getattr(part, "momentum", None) for part in tracking]
    for part in tracking:
        part.track_running_stats = False
        part.momentum = 0.0  # instance norms look at nothing else
    try:
        yield
    finally:
        for part, momentum in zip(tracking, momenta):
            part.track_running_stats = True
            part.momentum = momentum


def total_norm(optimizer: Optimizer) -> Tensor:
    """Measure the norm of the whole gradient of what an optimiser trains, 0-d, without waiting for the device."""
    return get_total_norm([p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None])
