"""Distribution-aware scaling (DSM): cross-entropy and robust contrast, balanced by the norm of their gradient."""

import math

import torch
from torch import Tensor, nn

from dfer.losses.cross_entropy import CrossEntropy
from dfer.losses.robust_supcon import Kernel, check_ib_weight, check_kernel, robust_terms
from dfer.losses.supcon import check_temperature
from dfer.types import Batch, Output


class DistributionAwareLoss(nn.Module):
    """Balance cross-entropy and robust contrast by the gradient's norm ``g``: ``lambda_ce CE + lambda_sc L_IB-D-SC``.

    Paper: HDF, Eq. 16-17: ``lambda_ce = ce_scale g / (g + 1)``, ``lambda_sc = contrast_scale / (g + 1)``, so
    classification while the gradient is large, contrast once it is small. Where the paper is silent: the loss needs
    ``g`` and ``g`` the loss, so ``g`` starts at 1, ``update`` takes the norm measured with the lambdas in force, and
    the next loss has the new ones; both scales are 1.

    Unlike the paper, ``g`` is never below ``min_grad_norm``: else, where the contrastive part has no gradient left (as
    after collapse) and that of cross-entropy alone is below 1, ``g`` shrinks with each step towards 0 and
    classification is no longer trained. Of the contrastive part, `robust_supcon` says what to watch.

    Args:
        temperature, eta, ib_weight, kernel_on: of `robust_supcon`.
        ce_scale, contrast_scale: the paper's alpha and beta.
        min_grad_norm: 0 is the paper.
        label_smoothing: of the cross-entropy.
        include_ce: whether cross-entropy is part of it; `WeightedSum` allows one such part.

    Shape:
        `Output`, `Batch` -> scalar.

    Raises:
        ValueError: an argument out of range.

    Example:
        >>> loss = DistributionAwareLoss()
        >>> batch = Batch(torch.zeros(2, 3, 1, 1, 1), torch.tensor([0, 0]), torch.arange(2), torch.ones(2))
        >>> loss(Output(torch.zeros(2, 7), torch.eye(2)), batch)
        tensor(0.9980)
        >>> loss.update(3.0)
        >>> loss.lambda_ce, loss.lambda_sc
        (tensor(0.7500), tensor(0.2500))
    """

    grad_norm: Tensor
    reads_grad_norm = True

    def __init__(
        self,
        temperature: float = 0.07,
        eta: float = 0.2,
        ib_weight: float = 0.1,
        ce_scale: float = 1.0,
        contrast_scale: float = 1.0,
        kernel_on: Kernel = "tempered",
        min_grad_norm: float = 0.25,
        label_smoothing: float = 0.0,
        include_ce: bool = True,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        check_kernel(eta, kernel_on)
        check_ib_weight(ib_weight)
        scales = {"ce_scale": ce_scale, "contrast_scale": contrast_scale, "min_grad_norm": min_grad_norm}
        for name, value in scales.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} {value} must be finite and not negative")
        self.temperature = temperature
        self.eta = eta
        self.ib_weight = ib_weight
        self.ce_scale = ce_scale
        self.contrast_scale = contrast_scale
        self.kernel_on: Kernel = kernel_on
        self.min_grad_norm = min_grad_norm
        self.include_ce = include_ce
        self.cross_entropy = CrossEntropy(label_smoothing)
        self.register_buffer("grad_norm", torch.tensor(max(1.0, min_grad_norm)))
        self._latest: dict[str, Tensor] = {}

    @property
    def lambda_ce(self) -> Tensor:
        """The factor of cross-entropy now in force, a scalar where the loss is."""
        return self.ce_scale * self.grad_norm / (self.grad_norm + 1)

    @property
    def lambda_sc(self) -> Tensor:
        """The factor of the contrastive part now in force, a scalar where the loss is."""
        return self.contrast_scale / (self.grad_norm + 1)

    def update(self, grad_norm: float | Tensor) -> None:
        """Take the norm of the whole loss's gradient, before any clipping; the next loss uses it.

        A norm that is not finite says nothing of the training, and leaves things as they are. Nothing is read back from
        a GPU, where a negative one therefore counts as the floor.

        Raises:
            ValueError: a negative norm, or a tensor that is no scalar.
        """
        if isinstance(grad_norm, Tensor) and grad_norm.dim() > 0:
            raise ValueError(f"grad_norm of shape {tuple(grad_norm.shape)}; give one number for the whole model")
        if not (isinstance(grad_norm, Tensor) and grad_norm.device.type != "cpu") and grad_norm < 0:
            raise ValueError(f"grad_norm {float(grad_norm)} must not be negative")
        with torch.no_grad():
            norm = grad_norm if isinstance(grad_norm, Tensor) else self.grad_norm.new_full((), grad_norm)
            norm = norm.to(self.grad_norm)
            self.grad_norm.copy_(torch.where(norm.isfinite(), norm.clamp(min=self.min_grad_norm), self.grad_norm))

    def diagnostics(self) -> dict[str, Tensor]:
        """Say what the latest forward in training mode was made of; empty before the first.

        ``lambda_ce``, ``lambda_sc`` and ``grad_norm`` are those that it used; ``between_class_cosine`` is the mean
        cosine between clips of different classes (1 is collapse; NaN where there are none); ``trace`` is that of the
        covariance of the embeddings at length 1 (0 is collapse). Clips of weight 0 are in neither.

        Shape:
            scalars, without gradient, where the loss is.
        """
        return dict(self._latest)

    def forward(self, output: Output, batch: Batch) -> Tensor:
        lambda_ce, lambda_sc = self.lambda_ce, self.lambda_sc
        terms = robust_terms(
            output.embedding, batch.label, self.temperature, self.eta, kernel_on=self.kernel_on, weight=batch.weight
        )
        loss = lambda_sc * (terms.contrast + self.ib_weight * terms.trace)
        if self.include_ce:
            loss = loss + lambda_ce * self.cross_entropy(output, batch)
        if self.training:
            cosine = terms.cosine.detach()
            self._latest = {
                "lambda_ce": lambda_ce,
                "lambda_sc": lambda_sc,
                "grad_norm": self.grad_norm.clone(),
                "between_class_cosine": between_class_cosine(cosine, batch.label, batch.weight),
                "trace": terms.trace.detach(),
            }
        return loss


def between_class_cosine(cosine: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Average the cosines between clips of different classes whose weight is not 0; NaN where there are none.

    Shape:
        cosine ``(B, B)``, label ``(B,)``, weight ``(B,)`` -> scalar.

    Example:
        >>> cosine = torch.tensor([[1.0, 0.9, 0.1], [0.9, 1.0, 0.3], [0.1, 0.3, 1.0]])
        >>> between_class_cosine(cosine, torch.tensor([0, 0, 1]), torch.ones(3))
        tensor(0.2000)
    """
    there = weight != 0
    different = (label[:, None] != label[None, :]) & there[:, None] & there[None, :]
    return (cosine * different).sum() / different.sum()
