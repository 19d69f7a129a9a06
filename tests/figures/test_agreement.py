"""Sample sheets by agreement."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dfer.figures import InParts, agreement_sheet, render
from dfer.labels import COLOURS

FRAMES = (np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 20, 20, 3))).astype(np.uint8)
MIXED = InParts(FRAMES, "surprise", ["surprise", "sad", "surprise", "fear"])
AGREED = InParts(FRAMES[:3], "happy", ["bored"] * 7)


def test_a_panel_for_each_level_with_its_clips_and_their_parts() -> None:
    figure = agreement_sheet({"low": [MIXED, AGREED], "high": [AGREED]}, columns=4)
    low, high = figure.axes
    assert (low.get_title(loc="left"), high.get_title(loc="left")) == ("low", "high")
    assert [tick.get_text() for tick in low.get_yticklabels()] == ["surprise", "happy"]
    assert [text.get_text() for text in low.texts] == ["Sur", "Sad", "Sur", "Fea", *["bored"] * 7]
    drawn = [to_hex(patch.get_facecolor()) for patch in low.patches]
    assert drawn[:4] == [COLOURS[name] for name in MIXED.parts]
    sheet = np.asarray(low.images[0].get_array())
    assert sheet[0, ::21, 0].tolist() == [0, 5, 10, 15]
    assert sheet[28, ::21, 0].tolist() == [0, 1, 1, 2]
    assert sheet[20:28].min() == 255  # room for the names
    assert render(figure, "png").startswith(b"\x89PNG")


def test_parts_share_the_clip_evenly_and_none_hides_a_frame() -> None:
    axes = agreement_sheet({"low": [MIXED]}).axes[0]
    width = np.asarray(axes.images[0].get_array()).shape[1]
    for at, (patch, text) in enumerate(zip(axes.patches, axes.texts, strict=True)):
        low, high = patch.get_x(), patch.get_x() + patch.get_width()  # type: ignore[attr-defined]
        assert at * width / 4 <= low < high <= (at + 1) * width / 4
        assert text.get_position()[0] == pytest.approx((at + 0.5) * width / 4)
        assert patch.get_y() > 20  # type: ignore[attr-defined]


def test_no_label_is_cut_off() -> None:
    figure = agreement_sheet({"low": [InParts(FRAMES, "disappointment", ["sad"])], "high": [AGREED, MIXED, AGREED]})
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(tick.get_window_extent().x0 >= 0 for tick in axes.get_yticklabels())
        assert all(text.get_window_extent().y0 >= 0 for text in axes.texts)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({}, "levels none"),
        ({"low": []}, "levels low"),
        ({"low": [MIXED], "high": []}, "levels low, high"),
        ({"low": [InParts(FRAMES, "sad", [])]}, "0"),
        ({"low": [InParts(FRAMES[:0], "sad", ["sad"])]}, r"\(0, 20, 20, 3\)"),
        ({"low": [MIXED, InParts(FRAMES[:, :10], "sad", ["sad"])]}, r"\(16, 10, 20, 3\)"),
    ],
)
def test_refused(levels: dict[str, list[InParts]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agreement_sheet(levels)
