"""HDF: a 3-D network with time-frequency distributional attention between its stages."""

from collections.abc import Sequence

from torch import Tensor, nn

from dfer.backbones import Pixels, x3d_m
from dfer.backbones.plugins import place
from dfer.models.recognizer import check_clip, class_names
from dfer.modules import DAM
from dfer.types import InputSpec, Output


class HDF(nn.Module):
    """Recognise the expression of a clip with attention to its frames and to its spatial frequencies.

    Paper: HDF, Sec. 4. The backbone, X3D, has a `dfer.modules.DAM` (Eq. 6-12) on the output of its last residual
    stage; its pooled feature is classified. The paper gives neither the size of X3D nor the place of DAM: X3D-M, and
    after the last stage, where attention over positions is cheap. `dfer.losses.DistributionAwareLoss` and
    `dfer.optim.SAM` (together DSM) train it.

    Args:
        weights: of the default backbone, X3D-M: ``KINETICS400``, a URL or a file; None starts fresh.
        stages: of the backbone, after each of which a DAM stands; none is the plain backbone.
        frequency, temporal: the branches of each DAM; with neither it is the plain backbone (Table 4).
        attention: over positions, ``self`` or ``conv``; see `dfer.modules.DAM`.
        backbone: another than X3D-M: standardised ``(B, 3, T, H, W) -> (B, D, T', H', W')`` with ``channels``,
            ``mean``, ``std``, ``plugins``, ``stage_channels`` and ``stage_frames``, as `dfer.backbones` has them.
        dropout: before the classifier; X3D's own by default.

    Shape:
        ``(B, 3, frames, size, size)`` uint8, or float in [0, 1] -> `Output`; ``clip_logits`` is None.

    Raises:
        ValueError: arguments, or a clip, that do not fit together.

    Example:
        >>> import torch
        >>> from dfer.backbones import r3d_18
        >>> model = HDF(backbone=r3d_18(width=0.25), frames=16, size=32)
        >>> output = model(torch.zeros(2, 3, 16, 32, 32, dtype=torch.uint8))
        >>> output.logits.shape, output.embedding.shape
        (torch.Size([2, 7]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        num_classes: int = 7,
        weights: str | None = None,
        *,
        labels: Sequence[str] | None = None,
        frames: int = 16,
        size: int = 160,
        stages: Sequence[int] = (4,),
        frequency: bool = True,
        temporal: bool = True,
        attention: str = "self",
        backbone: nn.Module | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if backbone is not None and weights is not None:
            raise ValueError(f"weights {weights!r} beside a backbone; give the backbone its own weights")
        self.input_spec = InputSpec(frames, size, class_names(num_classes, labels))
        self.backbone = x3d_m(weights) if backbone is None else backbone
        channels: dict[int, int] = self.backbone.stage_channels  # type: ignore[assignment]
        steps: dict[int, int] = self.backbone.stage_frames(frames)  # type: ignore[operator]
        place(dict.fromkeys(stages, nn.Identity()), channels)  # refuses a stage that is not there
        taken = [*self.backbone.plugins, *map(str, stages)]  # type: ignore[misc]
        if len(set(taken)) < len(taken):
            raise ValueError(f"plug-ins after the stages {', '.join(taken)}; give each stage one, in stages or plugins")
        if frequency or temporal:
            self.backbone.plugins.update(  # type: ignore[union-attr, operator]
                {str(stage): DAM(channels[stage], steps[stage], frequency, temporal, attention) for stage in stages}
            )
        self.pixels = Pixels(self.backbone.mean, self.backbone.std)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(self.backbone.channels, num_classes)  # type: ignore[arg-type]

    def forward(self, clip: Tensor) -> Output:
        check_clip(clip, self.input_spec)
        maps: Tensor = self.backbone(self.pixels(clip))  # (B, D, T', H', W')
        embedding = maps.mean(dim=(2, 3, 4))  # (B, D)
        return Output(self.classifier(self.dropout(embedding)), embedding, None)
