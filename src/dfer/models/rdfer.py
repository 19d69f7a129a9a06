"""RDFER: find the key expression in a dense clip, take frames there, read movements and emotion in both orders."""

from collections.abc import Sequence

from torch import Tensor, nn

from dfer.backbones import Pixels, resnet18, resnet50
from dfer.models.recognizer import check_clip, class_names
from dfer.modules import DualStream
from dfer.modules.key_expression import KeyExpression, KeyExpressionDetector, resample_clip
from dfer.types import InputSpec, Output

EVERY = 4  # frames of the dense clip, of which the detector sees one


class RDFER(nn.Module):
    """Recognise the expression of a clip from the frames around its key expression.

    Paper: RDFER, Sec. III-B, III-C and Fig. 2, eq. 3-5, Algorithm 1. (a) A tiny network scans the dense clip for the
    centre and the stride of the key expression, and for a summary of it all (`dfer.modules.KeyExpressionDetector`).
    (b) The frames there go through an image backbone one by one; `dfer.modules.DualStream` reads them; its output is
    classified. Agreement-based reweighting (Sec. III-A) works on ``clip_logits``; it is `dfer.reweight`.

    Where the paper is silent: the tiny network is a quarter-width ResNet-18; the frames' features are averaged over
    space and projected to ``features``, so that the sequence models can follow each other; the summary then gates them
    channel by channel. ``clip_logits`` are the same network on each of the ``clips`` runs of consecutive frames taken,
    by itself, from features that the backbone has given already. A backbone that looks along time, as X3D does, has
    shown a clip's features the frames of its neighbours, so its clips agree more readily.

    Table III is this class with ``resample=False``, ``summary=False``, ``dual=False`` or ``hierarchical=False``.

    Args:
        weights: of the default backbone, ResNet-50: ``IMAGENET1K_V1``, ``IMAGENET1K_V2``, a URL or a file; None starts
            fresh.
        frames: of the dense clip, a multiple of ``samples`` and, for the detector, of 4.
        samples: frames taken, ``n``; uint8 clips stay so, these frames alone become float.
        clips: of consecutive frames taken, ``n1``, so of ``samples / clips`` frames each.
        backbone: another than ResNet-50: standardised ``(B, 3, n, H, W) -> (B, C, n, H', W')``, e.g.
            `dfer.backbones.resnet18`. From one that ends in an average over time and space, as X3D does, the average
            over time is taken out.
        detector: the detector's backbone, by default ``resnet18(width=0.25)``; another may be what ``backbone`` may.
        features: of a frame in the sequence models, ``C'``; even.
        resample: False takes every ``frames / samples``-th frame from the first on, where the detector starts as well.
            Then there is no detector and no summary: ``detector`` and ``summary`` have no effect.
        summary: whether the detector's summary gates the features.
        dual, hierarchical, fusion: see `dfer.modules.DualStream`.
        dropout: before the classifier.

    Shape:
        ``(B, 3, frames, size, size)`` uint8, or float in [0, 1] -> `Output`; ``clip_logits`` ``(B, clips, K)``.

    Raises:
        ValueError: arguments, or a clip, that do not fit together; a backbone that shortens time.

    Example:
        >>> import torch
        >>> model = RDFER(backbone=resnet18(width=0.25), features=64, size=32)
        >>> clip = torch.zeros(2, 3, 64, 32, 32, dtype=torch.uint8)
        >>> output = model(clip)
        >>> output.logits.shape, output.embedding.shape, output.clip_logits.shape
        (torch.Size([2, 7]), torch.Size([2, 128]), torch.Size([2, 4, 7]))
        >>> model.locate(clip).centre.tolist()
        [0.5, 0.5]
    """

    def __init__(
        self,
        num_classes: int = 7,
        weights: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        frames: int = 64,
        size: int = 112,
        samples: int = 16,
        clips: int = 4,
        backbone: nn.Module | None = None,
        detector: nn.Module | None = None,
        features: int = 512,
        resample: bool = True,
        summary: bool = True,
        dual: bool = True,
        hierarchical: bool = True,
        fusion: str = "concat",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_frames(frames, samples, clips, resample)
        if backbone is not None and weights is not None:
            raise ValueError(f"weights {weights!r} beside a backbone; give the backbone its own weights")
        self.input_spec = InputSpec(frames, size, class_names(num_classes, labels))
        self.samples = samples
        self.detector = None
        if resample:
            tiny = resnet18(width=0.25) if detector is None else detector
            keep_time(tiny)
            self.detector = KeyExpressionDetector(
                tiny,
                frames=frames,
                samples=samples,
                every=EVERY,
                summary_features=features if summary else 0,
            )
        self.backbone = resnet50(weights) if backbone is None else backbone
        keep_time(self.backbone)
        self.check_steps(max(self.backbone.stage_frames(samples).items())[1])  # type: ignore[operator]
        self.pixels = Pixels(self.backbone.mean, self.backbone.std)  # type: ignore[arg-type]
        self.projection = nn.Linear(self.backbone.channels, features)  # type: ignore[arg-type]
        self.dual_stream = DualStream(
            features, clips, samples // clips, dual=dual, hierarchical=hierarchical, fusion=fusion
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.dual_stream.out_features, num_classes)

    def forward(self, clip: Tensor) -> Output:
        check_clip(clip, self.input_spec)
        if self.detector is None:
            tokens = self.tokens(clip[:, :, :: self.input_spec.frames // self.samples])  # (B, n, C')
        else:
            centre, stride, summary = self.detector(clip)  # (B,), (B,), (B, C') or None
            tokens = self.tokens(resample_clip(clip, centre, stride, self.samples))  # (B, n, C')
            if summary is not None:
                tokens = tokens * summary[:, None].to(tokens.dtype)
        embedding = self.dual_stream(tokens)  # (B, D)
        logits = self.classifier(self.dropout(embedding))  # (B, K)
        alone = tokens.reshape(-1, self.dual_stream.clip_frames, tokens.shape[2])  # (B n1, n2, C')
        clip_logits = self.classifier(self.dual_stream(alone, clips=1))  # (B n1, K)
        return Output(logits, embedding, clip_logits.view(clip.shape[0], -1, clip_logits.shape[1]))

    def tokens(self, frames: Tensor) -> Tensor:
        """Turn frames into a row of features by the backbone, ``(B, 3, n, H, W) -> (B, n, C')``."""
        maps: Tensor = self.backbone(self.pixels(frames))  # (B, C, n, H', W')
        self.check_steps(maps.shape[2])
        found: Tensor = self.projection(maps.mean(dim=(3, 4)).transpose(1, 2))  # (B, n, C')
        return found

    def check_steps(self, steps: int) -> None:
        """Refuse a backbone that does not give a feature for every frame.

        Raises:
            ValueError: with its name and both numbers.
        """
        if steps != self.samples:
            raise ValueError(
                f"backbone {type(self.backbone).__name__} gives {steps} steps in time for {self.samples} frames; give "
                "one that keeps time, such as resnet18, resnet50 or X3D"
            )

    def locate(self, clip: Tensor) -> KeyExpression:
        """Say where the key expression of a clip is, as share of its length, and how far apart frames are taken.

        Raises:
            ValueError: a model without re-sampling, or a clip of another shape.
        """
        if self.detector is None:
            raise ValueError("resample False: a model without re-sampling locates nothing; build it with resample True")
        check_clip(clip, self.input_spec)
        found: KeyExpression = self.detector(clip)
        return found


def keep_time(backbone: nn.Module) -> None:
    """Take the average over time out of a backbone's last pooling, which has no parameters, and leave that over space.

    Example:
        >>> import torch
        >>> from dfer.backbones import x3d_xs
        >>> backbone, clip = x3d_xs(width=0.25), torch.zeros(1, 3, 8, 32, 32)
        >>> before = backbone(clip).shape
        >>> keep_time(backbone)
        >>> before, backbone(clip).shape
        (torch.Size([1, 512, 1, 1, 1]), torch.Size([1, 512, 8, 1, 1]))
    """
    for module in backbone.modules():
        if isinstance(module, nn.AdaptiveAvgPool3d):
            module.output_size = (None, 1, 1)


def check_frames(frames: int, samples: int, clips: int, resample: bool) -> None:
    """Refuse numbers of frames that do not go together.

    Raises:
        ValueError: with the numbers.
    """
    if not (1 <= samples <= frames and frames % samples == 0):
        raise ValueError(f"samples {samples} of {frames} frames are not taken evenly; give a divisor of {frames}")
    if not (1 <= clips <= samples and samples % clips == 0):
        raise ValueError(f"clips {clips} do not share {samples} samples evenly; give a divisor of {samples}")
    if resample and frames % EVERY:
        raise ValueError(
            f"frames {frames} are no multiple of {EVERY}, and the detector sees one frame in {EVERY}; give such a "
            "multiple, or resample False"
        )
