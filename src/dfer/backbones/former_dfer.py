"""Former-DFER: ResNet-18 with a transformer over each frame's places, then a transformer over the frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.models.resnet import BasicBlock

from dfer.backbones.resnet_frames import ResNetFrames, each_frame

GRID, STEPS = 7, 16  # a frame of 112x112 has 7x7 places after stage 3


class FormerDFER(ResNetFrames):
    """Turn a clip into one vector of features: what a class token has gathered from its frames.

    Paper: Zhao and Liu 2021, "Former-DFER: Dynamic Facial Expression Recognition Transformer". Each frame goes through
    the first three residual stages, a transformer over its places (``spatial``) and the last stage; the means of the
    maps and a class token go through a transformer over the frames (``temporal``). Both have learned positions.

    RDFER's Table VI gives 18.0 M parameters and 8.31 GMAC. Our reading, which has 18.04 M with a classifier of seven
    classes and 8.30 GMAC: one layer in space and three in time; 8 heads; hidden layers twice as wide as their input,
    with GELU; layer normalisation before each part, and once more on the class token at the end; no dropout.

    The positions are those of 16 frames of 7x7 places (112x112 pixels). For other lengths and sizes they are
    interpolated linearly, cells' middles on cells' middles, so that a window of four frames and a small frame will do.
    Those of frames start with a deviation of 0.5, that of the features they are added to: which way a
    drawn square moves was learned in 100 steps so, and not in 300 with 0.02, as places have it.

    Args:
        width: multiplies every number of channels. Where 8 heads do not divide them, the most that do are taken.

    Shape:
        ``(B, 3, T, H, W)`` standardised -> ``(B, channels, 1, 1, 1)``.
    """

    beyond = ("spatial.", "temporal.")

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2), width)
        self.spatial = SpatialTransformer(self.stage_channels[3], depth=1)
        self.temporal = TemporalTransformer(self.channels, depth=3)

    def forward(self, clip: Tensor) -> Tensor:
        x = self.through((1, 2, 3), self.stem(clip))  # (B, C3, T, H/16, W/16)
        x = each_frame(self.spatial, x)
        x = self.through((4,), x)  # (B, channels, T, H/32, W/32)
        found: Tensor = self.temporal(x.mean(dim=(3, 4)).transpose(1, 2))  # (B, channels)
        return found[:, :, None, None, None]


class Layer(nn.Module):
    """Let every token add to itself what it finds in the others, then what a small network makes of it.

    Paper: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", Eq. 2-3.

    Shape:
        ``(B, N, features)`` -> ``(B, N, features)``.

    Example:
        >>> import torch
        >>> Layer(64)(torch.randn(2, 5, 64)).shape, Layer(64).heads, Layer(51).heads
        (torch.Size([2, 5, 64]), 8, 3)
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.heads = max(heads for heads in range(1, 9) if features % heads == 0)
        self.norm1 = nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        self.norm2 = nn.LayerNorm(features)
        self.hidden = nn.Linear(features, 2 * features)
        self.output = nn.Linear(2 * features, features)
        for linear in (self.out, self.hidden, self.output, self.qkv):
            nn.init.zeros_(linear.bias)
            for weight in linear.weight.chunk(3 if linear is self.qkv else 1):
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm1(x)).unflatten(2, (3, self.heads, -1))  # (B, N, 3, heads, D)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()  # (B, heads, N, D) each
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, features)
        x = x + self.out(seen)
        return x + self.output(F.gelu(self.hidden(self.norm2(x))))  # type: ignore[no-any-return]


class SpatialTransformer(nn.Module):
    """Join the places of a frame.

    Shape:
        ``(N, features, H, W)`` -> ``(N, features, H, W)``.

    Example:
        >>> import torch
        >>> SpatialTransformer(64, depth=1)(torch.randn(2, 64, 7, 4)).shape
        torch.Size([2, 64, 7, 4])
    """

    def __init__(self, features: int, depth: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(GRID, GRID, features))
        nn.init.normal_(self.positions, std=0.02)
        self.layers = nn.Sequential(*(Layer(features) for _ in range(depth)))

    def forward(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        positions = interpolated(interpolated(self.positions, height).transpose(0, 1), width)  # (W, H, features)
        tokens = maps.flatten(2).transpose(1, 2)  # (N, H * W, features)
        tokens = tokens + positions.transpose(0, 1).flatten(0, 1)
        joined: Tensor = self.layers(tokens)
        return joined.transpose(1, 2).view(maps.shape)


class TemporalTransformer(nn.Module):
    """Gather what a row of tokens tells into one class token.

    Shape:
        ``(B, N, features)`` -> ``(B, features)``.

    Example:
        >>> import torch
        >>> TemporalTransformer(64, depth=3)(torch.randn(2, 5, 64)).shape
        torch.Size([2, 64])
    """

    def __init__(self, features: int, depth: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.empty(STEPS, features))
        self.token = nn.Parameter(torch.empty(features))
        nn.init.normal_(self.positions, std=0.5)
        nn.init.normal_(self.token, std=0.02)
        self.layers = nn.Sequential(*(Layer(features) for _ in range(depth)))
        self.norm = nn.LayerNorm(features)

    def forward(self, tokens: Tensor) -> Tensor:
        placed = tokens + interpolated(self.positions, tokens.shape[1])  # (B, N, features)
        x = torch.cat([self.token.expand(tokens.shape[0], 1, -1), placed], dim=1)  # (B, 1 + N, features)
        return self.norm(self.layers(x)[:, 0])  # type: ignore[no-any-return]


def interpolated(positions: Tensor, steps: int) -> Tensor:
    """Bring learned positions to another number of steps, linearly along their first axis.

    A product with a fixed matrix, not `torch.nn.functional.interpolate`, whose gradient differs from run to run on a
    GPU.

    Example:
        >>> import torch
        >>> interpolated(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), 2).flatten()
        tensor([0.5000, 2.5000])
    """
    known = len(positions)
    if steps == known:
        return positions
    exact = torch.promote_types(positions.dtype, torch.float32)
    at = (torch.arange(steps, dtype=exact, device=positions.device) + 0.5) * known / steps - 0.5
    apart = at.clamp(0, known - 1)[:, None] - torch.arange(known, dtype=exact, device=positions.device)
    weights = (1 - apart.abs()).clamp(min=0).to(positions.dtype)  # (steps, known), each row adds up to 1
    return (weights @ positions.flatten(1)).view(steps, *positions.shape[1:])


def former_dfer(
    weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None
) -> FormerDFER:
    """Build Former-DFER.

    Args:
        weights: ``IMAGENET1K_V1``, a URL, a file or a run, of the whole network or of ResNet-18 alone; then ``spatial``
            and ``temporal`` start fresh, as everything does from None.

    Example:
        >>> import torch
        >>> former_dfer(width=0.25)(torch.zeros(2, 3, 4, 32, 32)).shape
        torch.Size([2, 128, 1, 1, 1])
    """
    return FormerDFER(width).start(weights, ResNet18_Weights, plugins)
