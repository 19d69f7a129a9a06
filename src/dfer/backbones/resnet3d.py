"""R3D-18, MC3-18 and R(2+1)D-18: torchvision's blocks, any width, plug-ins between stages."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import WeightsEnum
from torchvision.models.video import MC3_18_Weights, R2Plus1D_18_Weights, R3D_18_Weights
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, Conv3DNoTemporal, Conv3DSimple

from dfer.backbones.plugins import place
from dfer.backbones.weights import load_weights, read_weights
from dfer.errors import InputError

KINETICS_MEAN = (0.43216, 0.394666, 0.37645)
KINETICS_STD = (0.22803, 0.22145, 0.216989)


class TrimmedConv3d(nn.Conv3d):
    """A 3-D convolution without the taps in time that would see nothing but padding.

    A window of four frames has two steps in time after layer 2 and one after layer 3: there the output is one step, to
    which only the taps on real frames add anything. Leaving out the others is exact and saves 14 % of the
    multiply-adds of such a window. Before the first layer it serves windows of one frame, where torch's own, on a
    processor in bfloat16, takes numbers from memory that nothing has written (seen with 2.15).

    Example:
        >>> import torch
        >>> convolution = TrimmedConv3d(2, 2, kernel_size=3, padding=1)
        >>> x = torch.randn(1, 2, 1, 5, 5)
        >>> torch.allclose(convolution(x), torch.nn.Conv3d.forward(convolution, x), atol=1e-6)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        steps, padding, stride = x.shape[2], int(self.padding[0]), self.stride[0]
        if (steps + 2 * padding - self.kernel_size[0]) // stride > 0:  # more than one step comes out
            return super().forward(x)
        seen = self.weight[:, :, padding : padding + steps]  # (C', C, steps, h, w)
        return F.conv3d(x, seen, self.bias, self.stride, (0, *self.padding[1:]))


class Conv3DTrimmed(TrimmedConv3d, Conv3DSimple):  # type: ignore[misc]
    """torchvision's 3x3x3 convolution, trimmed."""


Convolution = type[Conv3DSimple | Conv3DNoTemporal | Conv2Plus1D]


class ResNet3D(nn.Module):
    """Turn a clip into a map of features over time and space.

    Paper: Tran et al. 2018, "A Closer Look at Spatiotemporal Convolutions". The state dict is that of torchvision's
    model of the same name, without its classifier.

    Args:
        convolutions: the kind of convolution of each of the four stages.
        factorised_stem: space, then time (R(2+1)D), instead of both at once.
        width: multiplies every number of channels.
        plugins: a module for the output of a stage (1 to 4), which must keep its shape.
        weights: see `dfer.backbones.weights.read_weights`; None starts fresh and needs no network.

    Shape:
        ``(B, 3, T, H, W)`` standardised -> ``(B, channels, T', H/16, W/16)``; ``T' = T/8`` (MC3: ``T``), rounded up.

    Raises:
        InputError: weights that do not fit.
    """

    mean = KINETICS_MEAN
    std = KINETICS_STD

    def __init__(
        self,
        convolutions: Sequence[Convolution],
        published: type[WeightsEnum],
        *,
        factorised_stem: bool = False,
        weights: str | None = None,
        width: float = 1.0,
        plugins: Mapping[int, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        sizes = [round(base * width) for base in (64, 128, 256, 512)]
        if sizes[0] < 1:
            raise ValueError(f"width {width} leaves no channels; give a positive factor such as 0.25")
        if weights is not None and weights.lower() in ("none", "null"):  # how an option on the command line arrives
            weights = None
        if weights in published.__members__ and width != 1:
            raise InputError(f"weights {weights} are of width 1, asked for width {width}; give width 1 or weights null")
        self.stage_channels = dict(enumerate(sizes, start=1))
        self.channels = sizes[-1]
        self._strides = [convolution.get_downsample_stride(2)[0] for convolution in convolutions[1:]]
        self.stem = _factorised_stem(sizes[0], round(45 * width) or 1) if factorised_stem else _stem(sizes[0])
        self.layer1 = _stage(convolutions[0], sizes[0], sizes[0], stride=1)
        self.layer2 = _stage(convolutions[1], sizes[0], sizes[1], stride=2)
        self.layer3 = _stage(convolutions[2], sizes[1], sizes[2], stride=2)
        self.layer4 = _stage(convolutions[3], sizes[2], sizes[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if weights is not None:
            load_weights(self, read_weights(weights, published), weights, dropped=("fc.",))
        self.plugins = place(plugins, self.stage_channels)

    def stage_frames(self, frames: int) -> dict[int, int]:
        """Tell how many steps in time each stage gives for a clip of so many frames."""
        found = {1: frames}
        for stage, stride in enumerate(self._strides, start=2):
            found[stage] = -(-found[stage - 1] // stride)
        return found

    def forward(self, clip: Tensor) -> Tensor:
        if clip.device.type == "cpu":
            clip = clip.contiguous(memory_format=torch.channels_last_3d)  # faster there
        x = self.stem(clip)  # (B, C1, T, H/2, W/2)
        for stage, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4), start=1):
            x = layer(x)  # (B, C, T', H', W')
            if str(stage) in self.plugins:
                x = self.plugins[str(stage)](x)
        return x  # type: ignore[no-any-return]


def r3d_18(weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None) -> ResNet3D:
    """Build R3D-18: 3x3x3 convolutions throughout.

    Args:
        weights: ``KINETICS400_V1``, a URL or a file; None starts fresh.

    Example:
        >>> import torch
        >>> backbone = r3d_18(width=0.25)
        >>> backbone.stage_channels, backbone(torch.zeros(1, 3, 16, 32, 32)).shape
        ({1: 16, 2: 32, 3: 64, 4: 128}, torch.Size([1, 128, 2, 2, 2]))
    """
    return ResNet3D([Conv3DTrimmed] * 4, R3D_18_Weights, weights=weights, width=width, plugins=plugins)


def mc3_18(weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None) -> ResNet3D:
    """Build MC3-18: 3x3x3 convolutions in the first stage, 1x3x3 in the others; no stride in time.

    Args:
        weights: ``KINETICS400_V1``, a URL or a file; None starts fresh.
    """
    convolutions: list[Convolution] = [Conv3DTrimmed, *[Conv3DNoTemporal] * 3]
    return ResNet3D(convolutions, MC3_18_Weights, weights=weights, width=width, plugins=plugins)


def r2plus1d_18(
    weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None
) -> ResNet3D:
    """Build R(2+1)D-18: each convolution is one in space, then one in time.

    Args:
        weights: ``KINETICS400_V1``, a URL or a file; None starts fresh.
    """
    return ResNet3D(
        [Conv2Plus1D] * 4, R2Plus1D_18_Weights, factorised_stem=True, weights=weights, width=width, plugins=plugins
    )


def _stem(channels: int) -> nn.Sequential:
    return nn.Sequential(
        TrimmedConv3d(3, channels, kernel_size=(3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def _factorised_stem(channels: int, between: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(3, between, kernel_size=(1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(inplace=True),
        nn.Conv3d(between, channels, kernel_size=(3, 1, 1), padding=(1, 0, 0), bias=False),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def _stage(convolution: Convolution, before: int, channels: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1:
        strides = convolution.get_downsample_stride(stride)
        shortcut = nn.Sequential(
            nn.Conv3d(before, channels, kernel_size=1, stride=strides, bias=False), nn.BatchNorm3d(channels)
        )
    return nn.Sequential(
        BasicBlock(before, channels, convolution, stride, shortcut), BasicBlock(channels, channels, convolution)
    )
