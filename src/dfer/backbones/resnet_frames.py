"""ResNet-18 and ResNet-50 on every frame by itself, and ResNet-18 with an LSTM over the frames."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights, ResNet50_Weights, WeightsEnum
from torchvision.models.resnet import BasicBlock, Bottleneck

from dfer.backbones.plugins import place
from dfer.backbones.weights import load_weights, read_weights
from dfer.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Block = type[BasicBlock | Bottleneck]


def each_frame(network: Callable[[Tensor], Tensor], clip: Tensor) -> Tensor:
    """Give every frame of a clip to a network of images.

    Shape:
        ``(B, C, T, H, W) -> (B, C', T, H', W')``.

    Example:
        >>> import torch
        >>> each_frame(torch.nn.Conv2d(3, 8, kernel_size=2, stride=2), torch.zeros(2, 3, 5, 4, 6)).shape
        torch.Size([2, 8, 5, 2, 3])
    """
    frames = clip.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
    found = network(frames)  # (B * T, C', H', W')
    return found.view(clip.shape[0], clip.shape[2], *found.shape[1:]).transpose(1, 2)  # (B, C', T, H', W')


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution that meets a map of one pixel with its middle tap alone, for the others see only padding.

    That is exact. And torch's own, on a processor in bfloat16 with stride 2, leaves in their gradients whatever the
    memory held before (seen with 2.15).

    Example:
        >>> import torch
        >>> convolution = Conv3x3(2, 4, kernel_size=3, stride=2, padding=1, bias=False)
        >>> pixel = torch.randn(5, 2, 1, 1)
        >>> torch.allclose(convolution(pixel), torch.nn.Conv2d.forward(convolution, pixel), atol=1e-6)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != (1, 1):
            return super().forward(x)
        return F.conv2d(x, self.weight[:, :, 1:2, 1:2])


class FrameStage(nn.Sequential):
    """A stage of a network of images, on every frame of a clip: ``(B, C, T, H, W) -> (B, C', T, H', W')``."""

    def forward(self, clip: Tensor) -> Tensor:
        return each_frame(super().forward, clip)


class ResNetFrames(nn.Module):
    """Turn every frame of a clip, by itself, into a map of features.

    Paper: He et al. 2016, "Deep Residual Learning for Image Recognition". The state dict is that of torchvision's
    model of the same name, without its classifier.

    Args:
        block: torchvision's block; it gives out ``expansion`` times its number of channels.
        depths: blocks of each of the four stages.
        width: multiplies every number of channels.

    Shape:
        ``(B, 3, T, H, W)`` standardised -> ``(B, channels, T, H/32, W/32)``, rounded up.

    Raises:
        ValueError: no width.
    """

    mean = IMAGENET_MEAN
    std = IMAGENET_STD
    beyond: tuple[str, ...] = ()
    """What a network has that no ResNet has: it starts fresh where the weights are a ResNet's."""

    def __init__(self, block: Block, depths: Sequence[int], width: float = 1.0) -> None:
        super().__init__()
        sizes = [round(base * width) for base in (64, 128, 256, 512)]
        if sizes[0] < 1:
            raise ValueError(f"width {width} leaves no channels; give a positive factor such as 0.25")
        self.width = width
        self.stage_channels = {stage: size * block.expansion for stage, size in enumerate(sizes, start=1)}
        self.channels = self.stage_channels[4]
        self.conv1 = nn.Conv2d(3, sizes[0], kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(sizes[0])
        self.layer1 = _stage(block, sizes[0], sizes[0], depths[0], stride=1)
        self.layer2 = _stage(block, self.stage_channels[1], sizes[1], depths[1], stride=2)
        self.layer3 = _stage(block, self.stage_channels[2], sizes[2], depths[2], stride=2)
        self.layer4 = _stage(block, self.stage_channels[3], sizes[3], depths[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.plugins = nn.ModuleDict()

    def start(
        self, weights: str | None, published: type[WeightsEnum], plugins: Mapping[int, nn.Module] | None = None
    ) -> Self:
        """Load weights, a whole network's or a ResNet's alone, and put plug-ins in their places.

        Args:
            weights: see `dfer.backbones.weights.read_weights`; None starts fresh and needs no network.
            plugins: a module for the output of a stage (1 to 4), which must keep its shape.

        Raises:
            InputError: weights that do not fit.
            ValueError: a stage that is not there.
        """
        if weights is not None and weights.lower() not in ("none", "null"):  # how an option on the command line arrives
            if weights in published.__members__ and self.width != 1:
                raise InputError(
                    f"weights {weights} are of width 1, asked for width {self.width}; give width 1 or weights null"
                )
            state = read_weights(weights, published)
            if self.beyond and not any(name.startswith(self.beyond) for name in state):
                state |= {name: value for name, value in self.state_dict().items() if name.startswith(self.beyond)}
            load_weights(self, state, weights, dropped=("fc.",))
        self.plugins = place(plugins, self.stage_channels)
        return self

    def stage_frames(self, frames: int) -> dict[int, int]:
        """Tell how many steps in time each stage gives for a clip of so many frames: as many."""
        return dict.fromkeys(self.stage_channels, frames)

    def forward(self, clip: Tensor) -> Tensor:
        return self.through((1, 2, 3, 4), self.stem(clip))  # (B, channels, T, H/32, W/32)

    def stem(self, clip: Tensor) -> Tensor:
        """Work on pixels, ``(B, 3, T, H, W) -> (B, C, T, H/4, W/4)``."""
        if clip.device.type == "cpu" and self.width < 1:  # thin networks are a fifth faster so, ResNet-18 slower
            clip = clip.contiguous(memory_format=torch.channels_last_3d)  # each frame is then channels last
        return each_frame(self._pixels, clip)

    def through(self, stages: Iterable[int], x: Tensor) -> Tensor:
        """Apply stages, each with its plug-in."""
        for stage in stages:
            x = getattr(self, f"layer{stage}")(x)  # (B, C, T, H', W')
            if str(stage) in self.plugins:
                x = self.plugins[str(stage)](x)
        return x

    def _pixels(self, frames: Tensor) -> Tensor:
        found = F.relu(self.bn1(self.conv1(frames)), inplace=True)  # (B * T, C, H/2, W/2)
        return F.max_pool2d(found, kernel_size=3, stride=2, padding=1)  # (B * T, C, H/4, W/4)


class ResNetLSTM(ResNetFrames):
    """Turn a clip into one vector of features per frame: ResNet-18 on each, then an LSTM over them.

    The CNN-LSTM of RDFER's Table VI, of which the paper gives no more than the cost: 22.2 M parameters and 7.97 GMAC.
    Our reading, which has 22.21 M with a classifier of seven classes and 7.93 GMAC: each map's mean over space, a
    bidirectional LSTM of two layers with as many hidden units each way as the ResNet has channels, and a linear layer
    back to that number.

    Args:
        width: multiplies every number of channels and of hidden units.

    Shape:
        ``(B, 3, T, H, W)`` standardised -> ``(B, channels, T, 1, 1)``.
    """

    beyond = ("lstm.", "projection.")

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(BasicBlock, (2, 2, 2, 2), width)
        self.lstm = nn.LSTM(self.channels, self.channels, num_layers=2, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(2 * self.channels, self.channels)

    def forward(self, clip: Tensor) -> Tensor:
        maps = super().forward(clip)  # (B, channels, T, H', W')
        tokens, _ = self.lstm(maps.mean(dim=(3, 4)).transpose(1, 2))  # (B, T, 2 * channels)
        return self.projection(tokens).transpose(1, 2)[..., None, None]  # type: ignore[no-any-return]


def resnet18(
    weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None
) -> ResNetFrames:
    """Build ResNet-18 for every frame by itself.

    Args:
        weights: ``IMAGENET1K_V1``, a URL or a file; None starts fresh.

    Example:
        >>> import torch
        >>> backbone = resnet18(width=0.25)
        >>> backbone.stage_channels, backbone(torch.zeros(1, 3, 16, 64, 64)).shape
        ({1: 16, 2: 32, 3: 64, 4: 128}, torch.Size([1, 128, 16, 2, 2]))
    """
    return ResNetFrames(BasicBlock, (2, 2, 2, 2), width).start(weights, ResNet18_Weights, plugins)


def resnet50(
    weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None
) -> ResNetFrames:
    """Build ResNet-50 for every frame by itself; it gives out four times ResNet-18's channels.

    Args:
        weights: ``IMAGENET1K_V1``, ``IMAGENET1K_V2``, a URL or a file; None starts fresh.
    """
    return ResNetFrames(Bottleneck, (3, 4, 6, 3), width).start(weights, ResNet50_Weights, plugins)


def resnet18_lstm(
    weights: str | None = None, width: float = 1.0, plugins: dict[int, nn.Module] | None = None
) -> ResNetLSTM:
    """Build CNN-LSTM: ResNet-18 for every frame, an LSTM over the frames.

    Args:
        weights: ``IMAGENET1K_V1``, a URL, a file or a run, of the whole network or of ResNet-18 alone; then ``lstm``
            and ``projection`` start fresh, as everything does from None.

    Example:
        >>> import torch
        >>> resnet18_lstm(width=0.25)(torch.zeros(2, 3, 16, 64, 64)).shape
        torch.Size([2, 128, 16, 1, 1])
    """
    return ResNetLSTM(width).start(weights, ResNet18_Weights, plugins)


def _stage(block: Block, before: int, channels: int, depth: int, stride: int) -> FrameStage:
    after = channels * block.expansion
    shortcut = None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(
            nn.Conv2d(before, after, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(after)
        )
    others = (block(after, channels) for _ in range(1, depth))
    made = FrameStage(block(before, channels, stride, shortcut), *others)
    for one in made:
        for name, part in list(one.named_children()):
            if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
                shape = part.in_channels, part.out_channels, 3, part.stride, 1
                ours = nn.utils.skip_init(Conv3x3, *shape, bias=False)  # type: ignore[no-untyped-call]
                setattr(one, name, ours)  # initialised with all others
    return made
