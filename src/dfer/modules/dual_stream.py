"""The dual-stream hierarchical network of RDFER: short movements and long changes of emotion, in either order."""

import torch
from torch import Tensor, nn

from dfer.modules.temporal import BiLSTM


class DualStream(nn.Module):
    """Turn a row of frames into one vector by two sequence models, one after the other, in both orders.

    With ``n = n1 * n2`` frames, ``R_me`` are ``n1`` clips of ``n2`` consecutive frames and ``R_em`` are ``n2`` groups
    of ``n1`` frames, each ``n2`` apart. The movement model ``S_m`` and the emotion model ``S_e`` serve both streams:
    ``f_me = S_e(S_m(R_me))`` looks at the movement within clips, then at the change from clip to clip;
    ``f_em = S_m(S_e(R_em))`` at the change over groups with stride, then at the movement from group to group.

    Paper: RDFER, Sec. III-C, Algorithm 1. Where it is silent: each model is one layer of a BiLSTM with ``features / 2``
    hidden units each way, so that either can follow the other; what the first model of a stream gives for a clip or
    group is averaged to one token for the second, whose outputs are averaged again. The text concatenates the streams,
    Algorithm 1 adds them: both are here.

    Args:
        features: of a frame; even.
        clips, clip_frames: ``n1`` and ``n2``.
        dual: False leaves the movement-emotion stream alone (Table III, without dual-stream architecture); ``fusion``
            has nothing to do then.
        hierarchical: False runs each model over all ``n`` frames instead, averages over time and fuses the two
            (Table III, without hierarchical architecture; the paper calls it an ensemble).
        fusion: ``concat`` or ``sum``.

    Shape:
        ``(B, n, features)`` -> ``(B, out_features)``: ``2 * features``, but ``features`` with ``sum`` or one stream.

    Raises:
        ValueError: arguments that do not fit together, or tokens of another shape.

    Example:
        >>> network = DualStream(features=64, clips=4, clip_frames=4)
        >>> network(torch.zeros(2, 16, 64)).shape, network.out_features
        (torch.Size([2, 128]), 128)
        >>> network(torch.zeros(2, 4, 64), clips=1).shape
        torch.Size([2, 128])
    """

    def __init__(
        self,
        features: int = 512,
        clips: int = 4,
        clip_frames: int = 4,
        *,
        dual: bool = True,
        hierarchical: bool = True,
        fusion: str = "concat",
    ) -> None:
        super().__init__()
        if not (isinstance(features, int) and features >= 2 and features % 2 == 0):
            raise ValueError(f"features {features} must be even and at least 2: half of them are of each direction")
        if not (isinstance(clips, int) and isinstance(clip_frames, int) and min(clips, clip_frames) >= 1):
            raise ValueError(f"clips {clips} of clip_frames {clip_frames}; give whole numbers of at least 1")
        if not (dual or hierarchical):
            raise ValueError(f"dual {dual} with hierarchical {hierarchical} leaves no network; one must be True")
        if fusion not in ("concat", "sum"):
            raise ValueError(f"fusion {fusion!r} is not known; give concat or sum")
        self.features = features
        self.clips = clips
        self.clip_frames = clip_frames
        self.dual = dual
        self.hierarchical = hierarchical
        self.fusion = fusion
        self.out_features = 2 * features if dual and fusion == "concat" else features
        self.movement = BiLSTM(features, features // 2)
        self.emotion = BiLSTM(features, features // 2)

    def forward(self, tokens: Tensor, clips: int | None = None) -> Tensor:
        """Run the network.

        Args:
            clips: other than at the start, e.g. 1 for a single clip of ``clip_frames`` tokens.
        """
        clips = self.clips if clips is None else clips
        frames = clips * self.clip_frames
        if tokens.ndim != 3 or tokens.shape[1:] != (frames, self.features):
            raise ValueError(
                f"tokens have the shape {list(tokens.shape)}; {clips} clips of {self.clip_frames} frames are "
                f"(B, {frames}, {self.features})"
            )
        if not self.hierarchical:
            return self.fuse([self.movement(tokens).mean(dim=1), self.emotion(tokens).mean(dim=1)])
        by_clip = tokens.reshape(-1, clips, self.clip_frames, self.features)  # (B, n1, n2, C'), R_me
        streams = [stream(by_clip, self.movement, self.emotion)]
        if self.dual:
            streams.append(stream(by_clip.transpose(1, 2), self.emotion, self.movement))  # from (B, n2, n1, C'), R_em
        return self.fuse(streams)

    def fuse(self, streams: list[Tensor]) -> Tensor:
        """Put the streams together, each ``(B, C')``, to ``(B, out_features)``."""
        if self.fusion == "concat":
            return torch.cat(streams, dim=1)
        return torch.stack(streams).sum(dim=0)


def stream(groups: Tensor, first: nn.Module, second: nn.Module) -> Tensor:
    """Run one model within each group and another over the groups, averaging what each gives.

    Shape:
        ``(B, N, n, C') -> (B, C')``; both models keep the shape that they are given, three axes.

    Example:
        >>> groups = torch.arange(8.0).view(1, 2, 4, 1)
        >>> stream(groups, nn.Identity(), nn.Identity())
        tensor([[3.5000]])
    """
    within = first(groups.flatten(0, 1)).mean(dim=1)  # (B N, C')
    over: Tensor = second(within.view(*groups.shape[:2], -1))  # (B, N, C')
    return over.mean(dim=1)
