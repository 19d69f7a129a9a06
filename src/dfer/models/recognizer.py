"""Any backbone, plain or over sliding windows, a temporal head, a classifier."""

from collections.abc import Sequence

from torch import Tensor, nn

from dfer.backbones import Pixels
from dfer.labels import BASIC, EXTENDED
from dfer.models.windows import check_windows, window_tokens
from dfer.modules.temporal import sequence
from dfer.types import InputSpec, Output


class Recognizer(nn.Module):
    """Recognise the expression of a clip.

    The clip's tokens are the backbone's features at each step in time or, with ``window``, of each window of frames,
    averaged over space (and, in a window, over its time). A temporal head works on them; their mean is classified.

    Args:
        backbone: standardised ``(B, 3, T, H, W) -> (B, C, T', H', W')``, with ``channels``, ``mean`` and ``std``.
        labels: class names; by default the seven basic expressions, MAFW's eleven, or ``class_0`` and so on.
        frames, size: of the clips it takes.
        window, stride: frames per window and from one to the next (default: ``window``, side by side).
        temporal: ``(B, N, D) -> (B, N, out_features)``, alone or before a state, e.g. `dfer.modules.BiLSTM` or
            `dfer.modules.S2AM2`; None leaves the tokens alone.
        dropout: before the classifier.

    Shape:
        ``(B, 3, frames, size, size)`` uint8, or float in [0, 1] -> `Output`; ``clip_logits`` are the classifier on each
        window's token, None without windows.

    Raises:
        ValueError: arguments, or a clip, that do not fit together.

    Example:
        >>> import torch
        >>> from dfer.backbones import r3d_18
        >>> model = Recognizer(r3d_18(width=0.25), frames=8, size=32, window=4, stride=2)
        >>> output = model(torch.zeros(2, 3, 8, 32, 32, dtype=torch.uint8))
        >>> output.logits.shape, output.embedding.shape, output.clip_logits.shape
        (torch.Size([2, 7]), torch.Size([2, 128]), torch.Size([2, 3, 7]))
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        num_classes: int = 7,
        labels: Sequence[str] | None = None,
        frames: int = 16,
        size: int = 112,
        window: int | None = None,
        stride: int | None = None,
        temporal: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.input_spec = InputSpec(frames, size, class_names(num_classes, labels))
        if window is None and stride is not None:
            raise ValueError(f"stride {stride} without a window; give window, the frames of each")
        self.window = window
        self.stride = window or frames if stride is None else stride
        check_windows(frames, frames if window is None else window, self.stride)
        self.pixels = Pixels(backbone.mean, backbone.std)  # type: ignore[arg-type]
        self.backbone = backbone
        features: int = backbone.channels  # type: ignore[assignment]
        if temporal is not None:
            wanted = getattr(temporal, "input_size", features)
            if wanted != features:
                raise ValueError(f"temporal head for {wanted} features, the backbone has {features}; set input_size")
            features = temporal.out_features  # type: ignore[assignment]
        self.temporal = temporal
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, clip: Tensor) -> Output:
        check_clip(clip, self.input_spec)
        tokens = self.tokens(clip)  # (B, N, D)
        if self.temporal is not None:
            tokens = sequence(self.temporal, tokens)  # (B, N, D')
        embedding = tokens.mean(dim=1)  # (B, D')
        logits = self.classifier(self.dropout(embedding))  # (B, K)
        return Output(logits, embedding, self.classifier(tokens) if self.window else None)

    def tokens(self, clip: Tensor) -> Tensor:
        """Turn a clip into a row of features, ``(B, N, D)``: one per window, or per step of the backbone's time."""
        if not self.window:
            features = self.backbone(self.pixels(clip))  # (B, D, T', H', W')
            return features.mean(dim=(3, 4)).transpose(1, 2)  # type: ignore[no-any-return]  # (B, T', D)
        return window_tokens(clip, self.window, self.stride, lambda windows: self.backbone(self.pixels(windows)))


def check_clip(clip: Tensor, spec: InputSpec) -> None:
    """Refuse a clip of another shape than a model takes.

    Raises:
        ValueError: with both shapes.
    """
    if clip.ndim != 5 or clip.shape[1:] != (3, spec.frames, spec.size, spec.size):
        wanted = f"(B, 3, {spec.frames}, {spec.size}, {spec.size})"
        raise ValueError(f"clip of shape {tuple(clip.shape)}, the model takes {wanted}; see its input_spec")


def class_names(num_classes: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    """Name the classes of a model.

    Example:
        >>> class_names(7, None)[:2], class_names(3, None)
        (('happy', 'sad'), ('class_0', 'class_1', 'class_2'))

    Raises:
        ValueError: no class; or not as many names as classes, all different.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes {num_classes} must be at least 1")
    if labels is None:
        known = {len(BASIC): BASIC, len(EXTENDED): EXTENDED}
        return known.get(num_classes) or tuple(f"class_{index}" for index in range(num_classes))
    if len(labels) != num_classes or len(set(labels)) != num_classes:
        raise ValueError(f"num_classes {num_classes} but labels {list(labels)}; give one name per class")
    return tuple(labels)
