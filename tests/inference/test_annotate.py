"""A video with what was recognised drawn into it."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ImageColor

from dfer.errors import InputError, ItemError
from dfer.inference.annotate import NARROWEST, Drawing, annotate
from dfer.inference.timeline import Boxes, FaceTimeline, Timeline
from dfer.labels import COLOURS
from dfer.video import write_video
from dfer.video.encode import write_timed_video
from dfer.video.stream import open_stream

Maker = Callable[..., Timeline]
Face = Callable[..., FaceTimeline]


def grey(height: int = 120, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 70, np.uint8)


def coloured(pixels: np.ndarray, name: str) -> np.ndarray:
    rows, columns = np.nonzero((pixels == ImageColor.getrgb(COLOURS[name])).all(axis=-1))
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


def test_a_face_has_its_box_label_and_number(timeline: Maker, face: Face) -> None:
    pixels = Drawing(timeline(face(1, 0.0, ["sad"] * 8)), 320, 120).draw(grey(), 1.0)[:120, 20:340]
    left, top, right, bottom = coloured(pixels, "sad")
    assert np.abs([left - 20, top - 12, bottom - 90]).max() <= 2  # the label stands above the box
    assert np.abs(coloured(pixels[40:], "sad") - [20, 0, 80, 50]).max() <= 2
    assert 80 < right < 120
    assert (pixels[45:75, 35:65] == 70).all()  # nothing is drawn over the face
    assert (pixels[14:28, 22:80] == 255).all(axis=-1).any()  # words


def test_a_face_of_which_nothing_is_said_has_a_grey_box(timeline: Maker, face: Face) -> None:
    drawing = Drawing(timeline(face(1, 0.0, ["too small"] * 8)), 320, 120)
    pixels = drawing.draw(grey(), 1.0)[:120, 20:340]
    assert (pixels[60, 19:22] == 228).any()
    assert not any((pixels == ImageColor.getrgb(colour)).all(axis=-1).any() for colour in COLOURS.values())


def test_boxes_come_and_go_with_their_face(timeline: Maker, face: Face) -> None:
    drawing = Drawing(timeline(face(1, 1.0, ["sad"] * 4), face(2, 2.0, ["happy"] * 2, left=200.0)), 320, 120)
    drawn = [(drawing.draw(grey(), at)[:120, 20:340] != 70).any(axis=(0, 2)) for at in (0.9, 1.0, 2.5, 3.0)]
    assert [(bool(one[:150].any()), bool(one[190:].any())) for one in drawn] == [
        (False, False), (True, False), (True, True), (False, False),
    ]  # fmt: skip


def test_a_box_at_the_edge_keeps_its_words_inside(timeline: Maker, face: Face) -> None:
    edge = FaceTimeline(
        1, 0.0, 4.0, 2, face(1, 0.0, ["disgust"] * 8).moments, (),
        Boxes(np.array([0, 80]), np.array([0.0, 4.0]), np.array([[300, -9, 350, 140]] * 2, np.float32)),
    )  # fmt: skip
    left, top, right, bottom = coloured(Drawing(timeline(edge), 320, 120).draw(grey(), 1.0)[:120], "disgust")
    assert left < 300  # of a box from 320 to beyond the edge
    assert top >= 0
    assert right <= NARROWEST
    assert bottom < 120


@pytest.mark.parametrize(("height", "width"), [(120, 320), (121, 319), (48, 64), (2160, 3840), (400, 30)])
def test_any_size_is_padded_to_even_sides(timeline: Maker, face: Face, height: int, width: int) -> None:
    pixels = Drawing(timeline(face(1, 0.0, ["sad"] * 8, left=1.0)), width, height).draw(grey(height, width), 1.0)
    assert pixels.shape[1] == max(width + width % 2, NARROWEST)
    assert pixels.shape[0] > height
    assert not any(side % 2 for side in pixels.shape[:2])
    left = (pixels.shape[1] - width) // 2
    assert (pixels[height - 10, left : left + width] == 70).mean() > 0.8


def test_frames_of_another_size_are_fitted_with_their_boxes(timeline: Maker, face: Face) -> None:
    drawing = Drawing(timeline(face(1, 0.0, ["sad"] * 8, left=40.0)), 320, 120)
    pixels = drawing.draw(grey(240, 640), 1.0)[:120, 20:340]
    left, _, right, bottom = coloured(pixels, "sad")
    assert abs(left - 20) <= 2
    assert abs(bottom - 45) <= 2
    assert right < 120


def test_times_and_sound_stay(tmp_path: Path, timeline: Maker, face: Face) -> None:
    times = [0.0, 0.1, 0.15, 0.9, 2.0, 4.9]
    write_timed_video(tmp_path / "-a %d.mp4", [(at, grey()) for at in times])
    told: list[tuple[float, float | None]] = []
    annotate(
        tmp_path / "-a %d.mp4",
        timeline(face(1, 0.0, ["happy"] * 10)),
        tmp_path / "out" / "a.mp4",
        progress=lambda done, all_of: told.append((done, all_of)),
    )
    with open_stream(tmp_path / "out/a.mp4") as stream:
        frames = list(stream)
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)
    assert told == [(pytest.approx(at, abs=1e-3), 5.0) for at in times]
    assert (frames[0].pixels != frames[-1].pixels).any()  # the cursor has moved
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.mp4"]


def test_real_video_with_its_sound(test_data: Path, tmp_path: Path, timeline: Maker, face: Face) -> None:
    source, out = test_data / "videos/single_face.mp4", tmp_path / "a.mp4"
    annotate(source, timeline(face(1, 0.0, ["happy"] * 4), seconds=2.4), out)
    with av.open(str(source)) as before, av.open(str(out)) as after:
        assert after.streams.video[0].frames == before.streams.video[0].frames == 72
        heard = [sum(1 for packet in one.demux(audio=0) if packet.size) for one in (before, after)]
        assert heard[1] == pytest.approx(heard[0], abs=2)
        assert float(after.duration) == pytest.approx(float(before.duration), rel=0.03)


def test_what_cannot_be_read_or_written(tmp_path: Path, timeline: Maker) -> None:
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(ItemError, match="no video file"):
        annotate(tmp_path / "text.mp4", timeline(), tmp_path / "out" / "a.mp4")
    assert not (tmp_path / "out").exists()
    write_video(tmp_path / "a.mp4", [grey()] * 3)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write"):
        annotate(tmp_path / "a.mp4", timeline(), tmp_path / "file" / "a.mp4")
