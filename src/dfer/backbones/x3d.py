"""X3D XS, S, M and L: thin, deep, depthwise; loads the public Kinetics checkpoints; plug-ins between stages."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.backbones.depthwise import Depthwise3D, DepthwiseInTime
from dfer.backbones.plugins import place
from dfer.backbones.weights import load_weights, read_weights
from dfer.errors import InputError

KINETICS_MEAN = (0.45, 0.45, 0.45)
KINETICS_STD = (0.225, 0.225, 0.225)
PUBLISHED = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
DEPTHS, DEEP = (3, 5, 11, 7), (5, 10, 25, 15)
PROJECTION = "blocks.5.proj."


class X3D(nn.Module):
    """Turn a clip into one vector of features.

    Paper: Feichtenhofer 2020, "X3D: Expanding Architectures for Efficient Video Recognition". Stem (``blocks.0``), four
    residual stages (``blocks.1`` to ``blocks.4``) and head (``blocks.5``): a 1x1x1 convolution, the mean over time and
    space, a second 1x1x1 convolution and a ReLU. The state dict is that of pytorchvideo's model, whose quirks stay (the
    first shortcut has no batch norm; ``conv_t`` of the stem is its convolution in space). No stage has a stride in
    time.

    Unlike pytorchvideo's, the head averages over whatever map there is, not over one of a fixed size, so that any
    length and any size from 32 pixels will do; and there is no soft-max. As a backbone it has no classifier either.

    Convolutions start from He's normal distribution, counted over the inputs of one output: counted over all outputs,
    as others do, a depthwise filter would start some ten times too small. The last batch norm of a block starts from
    zero, so that each block starts as its shortcut (Goyal et al. 2017); without that drawn faces took longer to learn.

    Args:
        depths: blocks of each of the four stages.
        published: names that ``weights`` may have and where they are.
        width: multiplies every number of channels, which is then rounded to a multiple of 8, as the paper's factor is.
        plugins: a module for the output of a stage (1 to 4), which must keep its shape.
        num_classes: adds the classifier, for `logits`; dropout of 0.5 goes before it.
        weights: see `dfer.backbones.weights.read_weights`; None starts fresh and needs no network. Without
            ``num_classes`` their classifier is left out.

    Shape:
        ``(B, 3, T, H, W)`` standardised -> ``(B, channels, 1, 1, 1)``, none below zero.

    Raises:
        InputError: weights that do not fit.
        ValueError: no width, or a stage that is not there.
    """

    mean = KINETICS_MEAN
    std = KINETICS_STD

    def __init__(
        self,
        depths: Sequence[int] = DEPTHS,
        published: Mapping[str, str] | None = None,
        *,
        weights: str | None = None,
        width: float = 1.0,
        plugins: Mapping[int, nn.Module] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        published = published or {}
        if not 0 < width < math.inf:
            raise ValueError(f"width {width} leaves no channels; give a positive factor such as 0.25")
        if weights is not None and weights.lower() in ("none", "null"):  # how an option on the command line arrives
            weights = None
        if weights in published and width != 1:
            raise InputError(f"weights {weights} are of width 1, asked for width {width}; give width 1 or weights null")
        stem, *sizes = (_multiple_of_8(base * width) for base in (24, 24, 48, 96, 192))
        self.stage_channels = dict(enumerate(sizes, start=1))
        self.channels = _multiple_of_8(2048 * width)
        stages = [
            _stage(depth, before, channels)
            for depth, before, channels in zip(depths, [stem, *sizes[:-1]], sizes, strict=True)
        ]
        self.blocks = nn.ModuleList([_stem(stem), *stages, _head(sizes[-1], self.channels, num_classes)])
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, _Block):
                nn.init.zeros_(module.branch2.norm_c.weight)  # type: ignore[union-attr, arg-type]
        if weights is not None:
            state = read_weights(weights, published)
            load_weights(self, state, weights, dropped=(PROJECTION,) if num_classes is None else ())
        self.plugins = place(plugins, self.stage_channels)

    def stage_frames(self, frames: int) -> dict[int, int]:
        """Tell how many steps in time each stage gives for a clip of so many frames: as many."""
        return dict.fromkeys(self.stage_channels, frames)

    def forward(self, clip: Tensor) -> Tensor:
        if clip.device.type == "cpu":
            clip = clip.contiguous(memory_format=torch.channels_last_3d)  # faster there
        x = self.blocks[0](clip)  # (B, C0, T, H/2, W/2)
        for stage in self.stage_channels:
            x = self.blocks[stage](x)  # (B, C, T, H', W')
            if str(stage) in self.plugins:
                x = self.plugins[str(stage)](x)
        return self.blocks[5]["pool"](x)  # type: ignore[no-any-return, index]  # (B, channels, 1, 1, 1)

    def logits(self, clip: Tensor) -> Tensor:
        """Classify a clip, ``(B, 3, T, H, W) -> (B, K)``, without a soft-max.

        Raises:
            ValueError: no classifier.
        """
        head = self.blocks[5]
        if "proj" not in head:  # type: ignore[operator]
            raise ValueError("a backbone without a classifier; give num_classes")
        features = F.dropout(self(clip).flatten(1), 0.5, self.training)  # (B, channels)
        return head["proj"](features)  # type: ignore[no-any-return, index]


def x3d_xs(
    weights: str | None = None,
    width: float = 1.0,
    plugins: dict[int, nn.Module] | None = None,
    num_classes: int | None = None,
) -> X3D:
    """Build X3D-XS; its published weights saw 4 frames, one in twelve, of 160x160.

    XS, S and M are one network: their weights differ, which come from clips of different lengths and sizes.

    Args:
        weights: ``KINETICS400``, a URL or a file; None starts fresh.
    """
    return X3D(DEPTHS, _published("XS"), weights=weights, width=width, plugins=plugins, num_classes=num_classes)


def x3d_s(
    weights: str | None = None,
    width: float = 1.0,
    plugins: dict[int, nn.Module] | None = None,
    num_classes: int | None = None,
) -> X3D:
    """Build X3D-S; its published weights saw 13 frames, one in six, of 160x160.

    Args:
        weights: ``KINETICS400``, a URL or a file; None starts fresh.
    """
    return X3D(DEPTHS, _published("S"), weights=weights, width=width, plugins=plugins, num_classes=num_classes)


def x3d_m(
    weights: str | None = None,
    width: float = 1.0,
    plugins: dict[int, nn.Module] | None = None,
    num_classes: int | None = None,
) -> X3D:
    """Build X3D-M; its published weights saw 16 frames, one in five, of 224x224.

    Args:
        weights: ``KINETICS400``, a URL or a file; None starts fresh.

    Example:
        >>> import torch
        >>> backbone = x3d_m(width=0.25)
        >>> backbone.stage_channels, backbone(torch.zeros(2, 3, 16, 32, 32)).shape
        ({1: 8, 2: 16, 3: 24, 4: 48}, torch.Size([2, 512, 1, 1, 1]))
    """
    return X3D(DEPTHS, _published("M"), weights=weights, width=width, plugins=plugins, num_classes=num_classes)


def x3d_l(
    weights: str | None = None,
    width: float = 1.0,
    plugins: dict[int, nn.Module] | None = None,
    num_classes: int | None = None,
) -> X3D:
    """Build X3D-L, twice as deep; its published weights saw 16 frames, one in five, of 312x312.

    Args:
        weights: ``KINETICS400``, a URL or a file; None starts fresh.
    """
    return X3D(DEEP, _published("L"), weights=weights, width=width, plugins=plugins, num_classes=num_classes)


class _Excitation(nn.Module):
    """Weigh channels by a small network on their means (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = _multiple_of_8(channels / 16)
        self.block = nn.Sequential(
            nn.Conv3d(channels, between, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv3d(between, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.block(x.mean(dim=(2, 3, 4), keepdim=True))  # type: ignore[no-any-return]


class _Block(nn.Module):
    """Widen, filter each channel alone, narrow, add the input."""

    def __init__(self, before: int, channels: int, stride: int, excited: bool) -> None:
        super().__init__()
        inner = int(2.25 * channels)
        strides = (1, stride, stride)
        self.branch1_conv = None
        self.branch1_norm = None
        if stride != 1 or before != channels:
            self.branch1_conv = nn.Conv3d(before, channels, kernel_size=1, stride=strides, bias=False)
        if before != channels:
            self.branch1_norm = nn.BatchNorm3d(channels)
        self.branch2 = nn.Sequential(
            OrderedDict(
                conv_a=nn.Conv3d(before, inner, kernel_size=1, bias=False),
                norm_a=nn.BatchNorm3d(inner),
                act_a=nn.ReLU(inplace=True),
                conv_b=Depthwise3D(inner, stride),
                norm_b=nn.Sequential(nn.BatchNorm3d(inner), _Excitation(inner) if excited else nn.Identity()),
                act_b=nn.SiLU(inplace=True),
                conv_c=nn.Conv3d(inner, channels, kernel_size=1, bias=False),
                norm_c=nn.BatchNorm3d(channels),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.branch1_conv is None else self.branch1_conv(x)
        if self.branch1_norm is not None:
            shortcut = self.branch1_norm(shortcut)
        return F.relu(shortcut + self.branch2(x))


def _stem(channels: int) -> nn.Sequential:
    in_space = nn.Conv3d(3, channels, kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False)
    both = nn.Sequential(OrderedDict(conv_t=in_space, conv_xy=DepthwiseInTime(channels)))  # named as published
    return nn.Sequential(OrderedDict(conv=both, norm=nn.BatchNorm3d(channels), activation=nn.ReLU(inplace=True)))


def _stage(depth: int, before: int, channels: int) -> nn.Sequential:
    first = _Block(before, channels, stride=2, excited=True)
    others = (_Block(channels, channels, stride=1, excited=index % 2 == 0) for index in range(1, depth))
    return nn.Sequential(OrderedDict(res_blocks=nn.Sequential(first, *others)))


def _head(before: int, channels: int, num_classes: int | None) -> nn.ModuleDict:
    inner = int(2.25 * before)
    parts: dict[str, nn.Module] = {
        "pool": nn.Sequential(
            OrderedDict(
                pre_conv=nn.Conv3d(before, inner, kernel_size=1, bias=False),
                pre_norm=nn.BatchNorm3d(inner),
                pre_act=nn.ReLU(inplace=True),
                pool=nn.AdaptiveAvgPool3d(1),
                post_conv=nn.Conv3d(inner, channels, kernel_size=1, bias=False),
                post_act=nn.ReLU(inplace=True),
            )
        )
    }
    if num_classes is not None:
        parts["proj"] = nn.Linear(channels, num_classes)
    return nn.ModuleDict(parts)


def _multiple_of_8(channels: float) -> int:
    """Round to the nearest multiple of 8 from 8 on, up where that would lose more than a tenth."""
    rounded = max(8, int(channels / 8 + 0.5) * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _published(name: str) -> dict[str, str]:
    return {"KINETICS400": f"{PUBLISHED}/X3D_{name}.pyth"}
