"""Attention between tokens."""

import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Let every token add to itself what it finds in the others: one head, residual.

    The paper puts "a lightweight self-attention layer" behind S2AM2 and says no more of it; this is our reading. The
    output layer starts at zero, so that the module starts as the identity.

    Paper: SAFE, Sec. III-C.

    Shape:
        ``(B, N, features)`` -> ``(B, N, features)``.

    Raises:
        ValueError: no features, or tokens of another shape.

    Example:
        >>> import torch
        >>> tokens = torch.randn(2, 7, 64)
        >>> torch.equal(SelfAttention(features=64)(tokens), tokens)
        True
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"features {features} must be at least 1")
        self.features = features
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[2] != self.features:
            raise ValueError(f"tokens have the shape {list(x.shape)}; give (B, N, {self.features})")
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=3)  # (B, 1, N, D) each: the ONNX exporter wants the head's axis
        seen = F.scaled_dot_product_attention(q, k, v).squeeze(1)  # (B, N, D)
        found: Tensor = self.out(seen)
        return x + found
