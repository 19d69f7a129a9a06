"""Sliding windows over a clip's frames."""

from collections.abc import Callable

from torch import Tensor


def check_windows(frames: int, window: int, stride: int) -> None:
    """Refuse windows that a clip cannot have.

    Raises:
        ValueError: a window longer than the clip or empty, or a stride that stands still.
    """
    if not (isinstance(window, int) and 1 <= window <= frames):
        raise ValueError(f"window {window} does not fit {frames} frames; give 1 to {frames}")
    if not (isinstance(stride, int) and stride >= 1):
        raise ValueError(f"stride {stride} does not move the window; give at least 1")


def window_tokens(clip: Tensor, window: int, stride: int, features: Callable[[Tensor], Tensor]) -> Tensor:
    """Turn each window of frames into one token: its feature map, averaged over time and space.

    Paper: SAFE, Eq. 1: ``N = (T - window) // stride + 1`` windows. All windows go through ``features`` in one batch.

    Args:
        features: ``(B, C, window, H, W) -> (B, D, T', H', W')``.

    Shape:
        clip ``(B, C, T, H, W)`` -> ``(B, N, D)``.

    Example:
        >>> import torch
        >>> clip = torch.arange(16.0).view(1, 1, 16, 1, 1)
        >>> window_tokens(clip, 4, 2, lambda windows: windows).flatten()
        tensor([ 1.5000,  3.5000,  5.5000,  7.5000,  9.5000, 11.5000, 13.5000])
    """
    windows = clip.unfold(2, window, stride)  # (B, C, N, H, W, window); no copy, still uint8
    windows = windows.permute(0, 2, 1, 5, 3, 4)  # (B, N, C, window, H, W)
    maps = features(windows.flatten(0, 1))  # (B N, D, T', H', W')
    return maps.mean(dim=(2, 3, 4)).view(*windows.shape[:2], maps.shape[1])  # (B, N, D)
