"""SAFE: sliding windows, a sparse gated recurrent network over them, a light attention, a convolution to classify."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from dfer.backbones import Pixels, r3d_18
from dfer.models.recognizer import check_clip, class_names
from dfer.models.windows import check_windows, window_tokens
from dfer.modules import S2AM2, SelfAttention
from dfer.modules.temporal import sequence
from dfer.types import InputSpec, Output


class SAFE(nn.Module):
    """Recognise the expression of a clip from overlapping windows of frames (spatio-temporal modeling, STM).

    Paper: SAFE, Sec. III-C, Eq. 1-5. Each window goes through the backbone; a recurrent network and a light
    self-attention layer run over the windows' tokens; a convolution over the window axis makes one token of them, which
    is classified. Where the paper is silent: 256 hidden units each way; the attention is residual, with one head.
    `dfer.transforms.ClipMix` (TAM) and `dfer.losses.AmbiguityCalibrationLoss` (ACL) train it.

    The baseline of Table IV is this class with other parts: ``temporal=lambda features: BiLSTM(features, 256),
    attention=False``.

    Args:
        weights: of the default backbone, R3D-18: ``KINETICS400_V1``, a URL or a file; None starts fresh.
        window, stride: frames per window and from one to the next: ``(T - window) // stride + 1`` windows.
        backbone: another than R3D-18: standardised ``(B, 3, T, H, W) -> (B, D, T', H', W')``.
        temporal: builds, for tokens of so many features, ``(B, N, D) -> (B, N, out_features)``; a module that gives its
            last state as well, as `torch.nn.LSTM` does, is fine if it has ``out_features``. By default S2AM2.
        attention: whether the self-attention layer follows.
        dropout: before the classifier.

    Shape:
        ``(B, 3, frames, size, size)`` uint8, or float in [0, 1] -> `Output`; ``clip_logits`` ``(B, N, K)`` are the
        classifier on each window's token.

    Raises:
        ValueError: arguments, or a clip, that do not fit together.

    Example:
        >>> import torch
        >>> model = SAFE(backbone=r3d_18(width=0.25), frames=16, size=32)
        >>> output = model(torch.zeros(2, 3, 16, 32, 32, dtype=torch.uint8))
        >>> output.logits.shape, output.embedding.shape, output.clip_logits.shape
        (torch.Size([2, 7]), torch.Size([2, 512]), torch.Size([2, 7, 7]))
    """

    def __init__(
        self,
        num_classes: int = 7,
        weights: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        frames: int = 16,
        size: int = 112,
        window: int = 4,
        stride: int = 2,
        backbone: nn.Module | None = None,
        temporal: Callable[[int], nn.Module] | None = None,
        attention: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_windows(frames, window, stride)
        if isinstance(temporal, nn.Module):
            raise ValueError(
                f"temporal is a {type(temporal).__name__} already; give what builds one for so many features, in a "
                "configuration by leaving its input_size out"
            )
        if backbone is not None and weights is not None:
            raise ValueError(f"weights {weights!r} beside a backbone; give the backbone its own weights")
        self.input_spec = InputSpec(frames, size, class_names(num_classes, labels))
        self.window = window
        self.stride = stride
        self.backbone = r3d_18(weights) if backbone is None else backbone
        self.pixels = Pixels(self.backbone.mean, self.backbone.std)  # type: ignore[arg-type]
        channels: int = self.backbone.channels  # type: ignore[assignment]
        self.temporal = S2AM2(channels, 256) if temporal is None else temporal(channels)
        if not hasattr(self.temporal, "out_features"):
            raise ValueError(
                f"temporal {type(self.temporal).__name__} has no out_features, the width that it gives out"
            )
        features: int = self.temporal.out_features  # type: ignore[assignment]
        self.attention = SelfAttention(features) if attention else nn.Identity()
        self.fusion = nn.Conv1d((frames - window) // stride + 1, 1, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, clip: Tensor) -> Output:
        check_clip(clip, self.input_spec)
        tokens = window_tokens(clip, self.window, self.stride, self.features)  # (B, N, D)
        tokens = self.attention(sequence(self.temporal, tokens))  # (B, N, D')
        embedding = self.fusion(tokens).squeeze(1)  # (B, D')
        logits = self.classifier(self.dropout(embedding))  # (B, K)
        return Output(logits, embedding, self.classifier(tokens))

    def features(self, windows: Tensor) -> Tensor:
        """Run the backbone on pixels, ``(B, 3, window, H, W) -> (B, D, T', H', W')``."""
        maps: Tensor = self.backbone(self.pixels(windows))
        return maps
