"""M3DFEL's aggregation: what the instances of a bag make of each other."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.modules.temporal import BiLSTM


class DynamicNormalisation(nn.Module):
    """Normalise the tokens of a bag by what lies between each instance's statistics and the whole bag's (DMIN).

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. The mean is ``a`` times that of the instance, over its
    features, plus ``1 - a`` times that of the bag, over instances and features; the variance the same with a weight of
    its own. Each pair of weights is the softmax of two learned numbers, equal at the start. Where the paper is silent:
    variances are biased; ``weight`` and ``bias`` are per feature. Statistics never cross clips, are the same in
    training and evaluation, and are in float32 under autocast, as is the output.

    Paper: M3DFEL, Sec. 3 (dynamic multi-instance normalization).

    Args:
        eps: added to the variance.

    Shape:
        ``(B, N, features)`` -> the same.

    Raises:
        ValueError: no features, an eps that is not positive, or tokens of another shape.

    Example:
        >>> tokens = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])
        >>> DynamicNormalisation(features=2)(tokens)  # means 3 and 5, variances 3 and 3
        tensor([[[-1.1547,  0.0000],
                 [ 0.0000,  1.1547]]], grad_fn=<AddBackward0>)
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"features {features} must be at least 1")
        if not eps > 0:
            raise ValueError(f"eps {eps} must be positive")
        self.features = features
        self.eps = eps
        self.mean_logits = nn.Parameter(torch.zeros(2))  # instance, bag
        self.var_logits = nn.Parameter(torch.zeros(2))
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        check_tokens(x, "N", self.features)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        instance_var, instance_mean = torch.var_mean(x, dim=2, correction=0, keepdim=True)  # (B, N, 1)
        bag_var, bag_mean = torch.var_mean(x, dim=(1, 2), correction=0, keepdim=True)  # (B, 1, 1)
        of_mean, of_var = self.mean_logits.softmax(0), self.var_logits.softmax(0)
        mean = of_mean[0] * instance_mean + of_mean[1] * bag_mean  # (B, N, 1)
        var = of_var[0] * instance_var + of_var[1] * bag_var
        return (x - mean) * torch.rsqrt(var + self.eps) * self.weight + self.bias

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps}"


class InstanceAggregation(nn.Module):
    """Let the instances of a bag see each other, and gate what each says by what it has seen.

    A BiLSTM of two layers runs over the instances; its output goes through self-attention with several heads, then
    `DynamicNormalisation`, then a sigmoid, and is multiplied by that. The paper does not say how wide a head is: here
    they share the features, and their outputs side by side are normalised as they are, without a layer between.

    Paper: M3DFEL, Sec. 3 (dynamic long-term instance aggregation).

    Args:
        features: of each instance's token; ``input_size`` is the same.
        instances: of a bag.
        hidden_size: of each direction of the BiLSTM, so a token leaves with twice as many features.

    Shape:
        ``(B, instances, features)`` -> ``(B, instances, out_features)``.

    Raises:
        ValueError: a size that is too small, heads that do not share the features evenly, or tokens of another shape.

    Example:
        >>> aggregation = InstanceAggregation(features=128, instances=4, hidden_size=32)
        >>> aggregation(torch.zeros(2, 4, 128)).shape, aggregation.out_features
        (torch.Size([2, 4, 64]), 64)
    """

    def __init__(self, features: int, instances: int, hidden_size: int = 512, heads: int = 8) -> None:
        super().__init__()
        for name, value in (("features", features), ("instances", instances), ("hidden_size", hidden_size)):
            if value < 1:
                raise ValueError(f"{name} {value} must be at least 1")
        if heads < 1 or 2 * hidden_size % heads:
            raise ValueError(
                f"heads {heads} cannot share the {2 * hidden_size} features of a BiLSTM of hidden_size {hidden_size}; "
                "give a number that divides them"
            )
        self.input_size = features
        self.instances = instances
        self.heads = heads
        self.out_features = 2 * hidden_size
        self.recurrent = BiLSTM(features, hidden_size, num_layers=2)
        self.qkv = nn.Linear(self.out_features, 3 * self.out_features)
        self.norm = DynamicNormalisation(self.out_features)

    def forward(self, tokens: Tensor) -> Tensor:
        check_tokens(tokens, self.instances, self.input_size)
        hidden: Tensor = self.recurrent(tokens)  # (B, N, D)
        qkv = self.qkv(hidden).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D / heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, N, D / heads) each
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, D)
        gate: Tensor = self.norm(seen).sigmoid()
        return hidden * gate


def check_tokens(x: Tensor, instances: int | str, features: int) -> None:
    """Refuse tokens that are not ``(B, instances, features)``; instances may be a letter, for any number."""
    if x.ndim != 3 or x.shape[2] != features or (isinstance(instances, int) and x.shape[1] != instances):
        raise ValueError(f"tokens have the shape {list(x.shape)}; give (B, {instances}, {features})")
