"""M3DFEL: a clip as a bag of short instances, weakly labelled; and the bag framework for any backbone."""

from collections.abc import Sequence

from torch import Tensor, nn

from dfer.backbones import Pixels, r3d_18
from dfer.models.recognizer import check_clip, class_names
from dfer.models.windows import window_tokens
from dfer.modules import InstanceAggregation
from dfer.types import InputSpec, Output


class M3DFEL(nn.Module):
    """Recognise the expression of a clip from a bag of instances: windows of frames side by side.

    Paper: M3DFEL, Sec. 3; RDFER, Sec. IV-E and Table VI. Each instance goes through the backbone; the instances' tokens
    are aggregated by `dfer.modules.InstanceAggregation`; a convolution over the instances makes one token of them,
    which is classified. Where the paper is silent: a token is the mean of its instance's feature map; ``clip_logits``
    are the classifier on each aggregated token.

    Table VI is this class on one backbone after the other; its rows without the bag are
    `dfer.models.Recognizer` on the same backbone.

    Args:
        weights: of the default backbone, R3D-18: ``KINETICS400_V1``, a URL or a file; None starts fresh.
        instances: of a clip, each of ``frames / instances`` frames.
        backbone: another than R3D-18: standardised ``(B, 3, T, H, W) -> (B, D, T', H', W')``, for clips and for frames
            alike.
        hidden_size: of each direction of the aggregation's BiLSTM.
        heads: of the aggregation's attention.
        dropout: before the classifier.

    Shape:
        ``(B, 3, frames, size, size)`` uint8, or float in [0, 1] -> `Output`; ``clip_logits`` ``(B, instances, K)``.

    Raises:
        ValueError: arguments, or a clip, that do not fit together.

    Example:
        >>> import torch
        >>> model = M3DFEL(backbone=r3d_18(width=0.25), hidden_size=64, frames=16, size=32)
        >>> output = model(torch.zeros(2, 3, 16, 32, 32, dtype=torch.uint8))
        >>> output.logits.shape, output.embedding.shape, output.clip_logits.shape
        (torch.Size([2, 7]), torch.Size([2, 128]), torch.Size([2, 4, 7]))
    """

    def __init__(
        self,
        num_classes: int = 7,
        weights: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        frames: int = 16,
        size: int = 112,
        instances: int = 4,
        backbone: nn.Module | None = None,
        hidden_size: int = 512,
        heads: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 1 <= instances <= frames or frames % instances:
            raise ValueError(f"instances {instances} do not share {frames} frames evenly; give a divisor of {frames}")
        if backbone is not None and weights is not None:
            raise ValueError(f"weights {weights!r} beside a backbone; give the backbone its own weights")
        self.input_spec = InputSpec(frames, size, class_names(num_classes, labels))
        self.window = frames // instances
        self.backbone = r3d_18(weights) if backbone is None else backbone
        self.pixels = Pixels(self.backbone.mean, self.backbone.std)  # type: ignore[arg-type]
        channels: int = self.backbone.channels  # type: ignore[assignment]
        self.aggregation = InstanceAggregation(channels, instances, hidden_size, heads)
        self.fusion = nn.Conv1d(instances, 1, kernel_size=3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.aggregation.out_features, num_classes)

    def forward(self, clip: Tensor) -> Output:
        check_clip(clip, self.input_spec)
        tokens = window_tokens(clip, self.window, self.window, self.features)  # (B, N, D)
        tokens = self.aggregation(tokens).to(tokens.dtype)  # (B, N, D')
        embedding = self.fusion(tokens).squeeze(1)  # (B, D')
        logits = self.classifier(self.dropout(embedding))  # (B, K)
        return Output(logits, embedding, self.classifier(tokens))

    def features(self, instances: Tensor) -> Tensor:
        """Run the backbone on pixels, ``(B, 3, window, H, W) -> (B, D, T', H', W')``."""
        maps: Tensor = self.backbone(self.pixels(instances))
        return maps
