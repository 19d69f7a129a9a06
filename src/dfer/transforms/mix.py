"""Mixing clips of the same class within a batch: TAM and its rivals."""

import math
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

Strategy = Literal["tam", "random", "frame", "videomix", "none"]
"""``tam``: blocks, the same in all frames. ``random``: other blocks in each frame. ``frame``: whole frames.
``videomix``: one box through all frames. ``none``: nothing."""

STRATEGIES: Final = ("tam", "random", "frame", "videomix", "none")

MIX: Final = (3,)  # spawn key: these draws are independent of the order of clips and of their augmentation


class ClipMix:
    """Replace parts of some clips by the same parts of another clip of the same class (temporal-aware augmentation).

    Paper: SAFE, Algorithm 1 and Table III. Where the paper is silent: a partner is drawn among the other clips of the
    class in the batch, so a clip whose class stands alone is left as it is and another is mixed in its place; pixels
    come from the batch as it was before mixing; the box of ``videomix`` lies inside the frame with sides in the
    frame's proportion.

    Args:
        ratio: share of the batch that is mixed, ``int(ratio * B)`` clips.
        mask_ratio: share of a clip that is replaced: ``int(mask_ratio * n)`` of its n blocks or frames, or this share
            of its area.
        block_size: side of a block in pixels.
        partners: ``batch`` draws partners as said; ``dataset`` has the loader draw them from the whole training set,
            so that a class with one clip in the batch still mixes.

    Shape:
        clip ``(B, C, T, H, W)`` uint8 or float on any device, label ``(B,)`` -> the same, a new tensor. partner
        ``(B, C, T, H, W)``, one for each clip, or ``(M, C, T, H, W)`` for the clips ``chosen (M,)``.

    Raises:
        ValueError: a setting out of range; a clip that blocks do not tile; partners of another shape.

    Example:
        >>> clip = torch.arange(2).view(2, 1, 1, 1, 1).expand(2, 3, 4, 32, 32)
        >>> mixed = ClipMix("tam", ratio=1.0, mask_ratio=0.25)(clip, torch.tensor([5, 5]))
        >>> mixed[0].float().mean(), mixed[1].float().mean()
        (tensor(0.2500), tensor(0.7500))
    """

    def __init__(
        self,
        strategy: Strategy = "tam",
        ratio: float = 0.5,
        mask_ratio: float = 0.5,
        block_size: int = 16,
        partners: Literal["batch", "dataset"] = "batch",
    ) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy {strategy!r} is none of {', '.join(STRATEGIES)}")
        for name, value in (("ratio", ratio), ("mask_ratio", mask_ratio)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} {value} is a share; give 0 to 1")
        if not (isinstance(block_size, int) and block_size >= 1):
            raise ValueError(f"block_size {block_size} is no number of pixels; give 1 or more")
        if partners not in ("batch", "dataset"):
            raise ValueError(f"partners {partners!r} is neither batch nor dataset")
        self.strategy = strategy
        self.ratio = ratio
        self.mask_ratio = mask_ratio
        self.block_size = block_size
        self.partners = partners

    def count(self, clips: int) -> int:
        """Say how many of so many clips are mixed."""
        return 0 if self.strategy == "none" else int(self.ratio * clips)

    def __call__(
        self,
        clip: Tensor,
        label: Tensor,
        generator: torch.Generator | None = None,
        partner: Tensor | None = None,
        chosen: Tensor | None = None,
    ) -> Tensor:
        if clip.ndim != 5:
            raise ValueError(f"clip of shape {tuple(clip.shape)}; give (B, C, T, H, W)")
        if len(label) != len(clip):
            raise ValueError(f"{len(label)} labels for {len(clip)} clips; give one each")
        if chosen is not None and (partner is None or not set(chosen.tolist()) <= set(range(len(clip)))):
            raise ValueError(
                f"chosen {chosen.tolist()} of {len(clip)} clips; give their numbers and a partner for each"
            )
        self.check_frame(*clip.shape[3:])
        B, _, T, H, W = clip.shape
        if not self.count(B):
            return clip.clone()
        device = generator.device if generator else torch.device("cpu")
        source = torch.arange(B, device=device)  # which clip shows where the mask is: at first, each clip itself
        pool = clip
        if partner is None:
            some, partners = self._pairs(label.to(device), generator)  # (M,), (M,)
            source[some] = partners
        else:
            if chosen is None:
                self._check_partner(partner, clip, B)
                some = torch.randperm(B, generator=generator, device=device)[: self.count(B)]
                source[some] = some + B
            else:
                self._check_partner(partner, clip, len(chosen))
                source[chosen.to(device)] = torch.arange(B, B + len(chosen), device=device)
            pool = torch.cat([clip, partner])
        shown = pool.index_select(0, source.to(clip.device))  # (B, C, T, H, W)
        mask = self.mask(B, T, H, W, generator).to(clip.device)  # (B, 1, T or 1, H or 1, W or 1)
        if clip.dtype != torch.uint8:
            return torch.where(mask, shown, clip)
        return shown.bitwise_xor_(clip).bitwise_and_(mask.to(torch.uint8) * 255).bitwise_xor_(clip)  # where, 4x faster

    def mask(
        self, clips: int, frames: int, height: int, width: int, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw where clips are replaced by their partners.

        Shape:
            ``(clips, 1, T, H, W)`` bool, true where the partner shows; sides that a strategy keeps alike are 1.

        Raises:
            ValueError: ``tam`` or ``random``, and blocks do not tile the frame.
        """
        self.check_frame(height, width)
        if self.strategy == "none":
            return torch.zeros(clips, 1, 1, 1, 1, dtype=torch.bool)
        if self.strategy == "frame":
            return self._some_of(clips, frames, generator).view(clips, 1, frames, 1, 1)
        if self.strategy == "videomix":
            return self._box(clips, height, width, generator)
        rows, columns = height // self.block_size, width // self.block_size
        alike = 1 if self.strategy == "tam" else frames
        blocks = self._some_of(clips * alike, rows * columns, generator).view(clips, 1, alike, rows, columns)
        return blocks.repeat_interleave(self.block_size, 3).repeat_interleave(self.block_size, 4)

    def _check_partner(self, partner: Tensor, clip: Tensor, wanted: int) -> None:
        if partner.shape != (wanted, *clip.shape[1:]) or partner.dtype != clip.dtype:
            found, wants = f"{tuple(partner.shape)} {partner.dtype}", f"{tuple(clip.shape[1:])} {clip.dtype}"
            raise ValueError(f"partner {found} does not fit; give {wanted} clips of {wants}")

    def _some_of(self, rows: int, count: int, generator: torch.Generator | None) -> Tensor:
        """Mark exactly ``int(mask_ratio * count)`` of ``count`` in each row, all subsets alike."""
        device = generator.device if generator else None
        order = torch.rand(rows, count, generator=generator, device=device).argsort(dim=1)  # (rows, count)
        return order < int(self.mask_ratio * count)

    def _box(self, clips: int, height: int, width: int, generator: torch.Generator | None) -> Tensor:
        tall = round(height * math.sqrt(self.mask_ratio))
        wide = min(round(self.mask_ratio * height * width / tall), width) if tall else 0
        device = generator.device if generator else None
        room = torch.tensor([height - tall + 1, width - wide + 1], device=device)
        corner = (torch.rand(clips, 2, generator=generator, device=device) * room).long()  # (M, 2)
        y = torch.arange(height, device=device) - corner[:, :1]  # (M, H)
        x = torch.arange(width, device=device) - corner[:, 1:]  # (M, W)
        inside = ((y >= 0) & (y < tall))[:, :, None] & ((x >= 0) & (x < wide))[:, None, :]  # (M, H, W)
        return inside[:, None, None]

    def _pairs(self, label: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Choose clips that have another of their class in the batch, and one of those for each."""
        B = len(label)
        other = (label[:, None] == label[None, :]) & ~torch.eye(B, dtype=torch.bool, device=label.device)  # (B, B)
        draw = torch.rand(B, B + 1, generator=generator, device=label.device)
        partner = (draw[:, :B] + other).argmax(dim=1)  # (B,); draws are below 1, so a clip of the class wins
        alone = ~other.any(dim=1)
        order = (draw[:, B] + alone).argsort()  # those that stand alone come last
        chosen = order[: min(self.count(B), int((~alone).sum()))]
        return chosen, partner[chosen]

    def check_frame(self, height: int, width: int) -> None:
        """Refuse frames that the blocks of ``tam`` and ``random`` do not tile.

        Raises:
            ValueError: with both numbers.
        """
        tiled = height % self.block_size == 0 and width % self.block_size == 0
        if self.strategy in ("tam", "random") and not tiled:
            raise ValueError(
                f"frames of {height} x {width} pixels are no multiple of block_size {self.block_size}; "
                "give a block size that divides both"
            )


def mix_generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """Make the generator of a batch: its draws depend on seed, epoch and step alone.

    Example:
        >>> one, other = (mix_generator(0, 2, 5) for _ in range(2))
        >>> torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=other))
        True
    """
    state = np.random.SeedSequence([seed, epoch, step], spawn_key=MIX).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))
