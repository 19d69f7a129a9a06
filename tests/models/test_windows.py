"""Windows over frames: how many, which frames, what is refused."""

import pytest
import torch

from dfer.models.windows import check_windows, window_tokens


@pytest.mark.parametrize(("frames", "window", "stride"), [(16, 4, 2), (16, 4, 4), (16, 16, 5), (9, 2, 3), (5, 1, 1)])
def test_every_window_is_averaged(frames: int, window: int, stride: int) -> None:
    clip = torch.randn(2, 3, frames, 6, 5)
    tokens = window_tokens(clip, window, stride, lambda windows: windows)
    count = (frames - window) // stride + 1  # Eq. 1
    assert tokens.shape == (2, count, 3)
    for n in range(count):
        expected = clip[:, :, n * stride : n * stride + window].mean((2, 3, 4))
        torch.testing.assert_close(tokens[:, n], expected)


def test_all_windows_in_one_batch() -> None:
    seen = []

    def features(windows: torch.Tensor) -> torch.Tensor:
        seen.append(windows.shape)
        return windows.float()

    window_tokens(torch.zeros(3, 3, 16, 8, 8, dtype=torch.uint8), 4, 2, features)
    assert seen == [(21, 3, 4, 8, 8)]


@pytest.mark.parametrize(
    ("frames", "window", "stride", "said"),
    [
        (16, 17, 2, "window 17 does not fit 16"),
        (16, 0, 2, "window 0"),
        (16, 4, 0, "stride 0"),
        (16, 4, -2, "stride -2"),
    ],
)
def test_impossible_windows_are_refused(frames: int, window: int, stride: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_windows(frames, window, stride)
