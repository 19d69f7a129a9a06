import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from dfer.datasets.faces.clips import Clip, Cut, CutSettings, cut_faces
from dfer.errors import InputError
from dfer.video.crop import FaceGeometry
from dfer.video.detect import Box, Face
from dfer.video.encode import write_video
from dfer.video.images import read_image
from dfer.video.whole_frame import WholeFrame

SMALL = CutSettings(FaceGeometry(size=32), min_face=10, min_seconds=0.3)
Places = dict[int, int]  # colour channel -> side of the square
WHERE = {0: (10, 10), 1: (80, 10), 2: (10, 80)}


def write(path: Path, scenes: Sequence[tuple[int, Places]]) -> Path:
    """Squares on grey stripes, each in a colour of its own, for so many frames at 20 a second."""
    frames = []
    for count, places in scenes:
        picture = np.full((144, 144, 3), 150, np.uint8)
        picture[60:80] = picture[130:] = 0
        for channel, side in places.items():
            left, top = WHERE[channel]
            picture[top : top + side, left : left + side, channel] = 250
        frames += [picture] * count
    write_video(path, frames, fps=20.0)
    return path


class Squares:
    """Takes squares for faces; blind for the frames of some numbers."""

    name = "squares"

    def __init__(self, blind: Sequence[int] = ()) -> None:
        self.blind, self.frames = blind, -1

    def __call__(self, frame: np.ndarray) -> list[Face]:
        self.frames += 1
        faces = []
        for channel, (left, top) in WHERE.items():
            side = int((frame[top + 2, left:, channel] > 200).argmin())
            if side > 3 and self.frames not in self.blind:
                eyes = np.array([[left + 0.3 * side, top + 0.4 * side], [left + 0.7 * side, top + 0.4 * side]])
                faces.append(Face(Box(left, top, left + side, top + side), 0.9, eyes))
        return faces


@pytest.fixture
def cut(tmp_path: Path) -> Callable[..., Cut]:
    """Cut a video of such scenes into tmp_path / out."""

    def run(scenes: Sequence[tuple[int, Places]], settings: CutSettings = SMALL, blind: Sequence[int] = ()) -> Cut:
        video = write(tmp_path / "video.mp4", scenes)
        return cut_faces(video, "sad/a", tmp_path / "out", Squares(blind), settings, partial=tmp_path / "out/.partial")

    return run


def colour(folder: Path) -> int:
    return int(read_image(folder / "00001.jpg")[16, 16].argmax())


def left_behind(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.suffix != ".jpg"}


def test_a_clip_is_a_folder_of_frames_without_gaps(cut: Callable[..., Cut], tmp_path: Path) -> None:
    assert cut([(20, {0: 40})], blind=[7, 8, 9]) == Cut((Clip("sad/a", 20, 40.0),))
    names = sorted(path.name for path in (tmp_path / "out/sad/a").iterdir())
    assert names == [f"{number:05d}.jpg" for number in range(1, 21)]
    assert left_behind(tmp_path / "out") == {"sad", "sad/a"}
    height, width, _, subsampling = simplejpeg.decode_jpeg_header((tmp_path / "out/sad/a/00001.jpg").read_bytes())
    assert (height, width, subsampling) == (32, 32, "444")


def test_the_main_face_is_there_longest(cut: Callable[..., Cut], tmp_path: Path) -> None:
    found = cut([(10, {0: 24}), (14, {0: 24, 1: 50}), (16, {0: 24})])
    assert found.clips == (Clip("sad/a", 40, 24.0),)
    assert colour(tmp_path / "out/sad/a") == 0


def test_of_faces_nearly_as_long_the_larger_is_the_main_one(cut: Callable[..., Cut], tmp_path: Path) -> None:
    found = cut([(2, {0: 24}), (38, {0: 24, 1: 50})])
    assert found.clips == (Clip("sad/a", 38, 50.0),)
    assert colour(tmp_path / "out/sad/a") == 1


def test_a_main_face_that_ended_early_stays(cut: Callable[..., Cut], tmp_path: Path) -> None:
    found = cut([(12, {2: 30}), (14, {}), (24, {0: 30}), (14, {}), (12, {1: 30})])
    assert [clip.frames for clip in found.clips] == [24]
    assert colour(tmp_path / "out/sad/a") == 0
    assert left_behind(tmp_path / "out") == {"sad", "sad/a"}


def test_all_faces_the_main_one_first(cut: Callable[..., Cut], tmp_path: Path) -> None:
    settings = CutSettings(SMALL.geometry, SMALL.min_face, SMALL.min_seconds, all_faces=True)
    found = cut([(12, {0: 24, 2: 6}), (30, {0: 24, 1: 50})], settings)
    assert [clip.clip for clip in found.clips] == ["sad/a", "sad/a-2"]
    assert [colour(tmp_path / "out" / clip.clip) for clip in found.clips] == [0, 1]
    assert left_behind(tmp_path / "out") == {"sad", "sad/a", "sad/a-2"}


@pytest.mark.parametrize(
    ("scenes", "expected"),
    [
        ([(20, {})], Cut((), "no face")),
        ([(20, {0: 8})], Cut((), "too small", "8 pixels")),
        ([(10, {}), (4, {0: 40}), (14, {})], Cut((), "too short", "0.20 s")),
        ([(4, {0: 40}), (14, {}), (20, {1: 8})], Cut((), "too small", "8 pixels")),  # the longest one's reason
    ],
)
def test_no_clip_and_why(
    scenes: list[tuple[int, Places]], expected: Cut, cut: Callable[..., Cut], tmp_path: Path
) -> None:
    assert cut(scenes) == expected
    assert list((tmp_path / "out").iterdir()) == []


def test_a_small_face_that_stays_longer_is_not_the_main_one(cut: Callable[..., Cut], tmp_path: Path) -> None:
    assert cut([(40, {0: 8, 1: 30})]).clips == (Clip("sad/a", 40, 30.0),)


def test_whole_frames_stay_as_they_are(tmp_path: Path) -> None:
    video = write(tmp_path / "video.mp4", [(12, {0: 40})])
    found = cut_faces(video, "a", tmp_path / "out", WholeFrame(), SMALL, partial=tmp_path / "out/.partial")
    assert found == Cut((Clip("a", 12, 144.0),))
    assert read_image(tmp_path / "out/a/00012.jpg").shape == (144, 144, 3)


def test_a_damaged_video_is_dropped_unless_asked_for(tmp_path: Path) -> None:
    video = tmp_path / "damaged.mp4"
    rng = np.random.default_rng(0)
    write_video(video, [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(20)], fps=20.0)
    whole = video.read_bytes()
    third = len(whole) // 3
    video.write_bytes(whole[:third] + bytes(third) + whole[2 * third :])
    found = cut_faces(video, "a", tmp_path / "out", WholeFrame(), SMALL, partial=tmp_path / "partial")
    assert (found.clips, found.fault) == ((), "damaged")
    assert "frames between" in found.detail
    settings = CutSettings(min_seconds=0.1, keep_damaged=True)
    kept = cut_faces(video, "a", tmp_path / "out", WholeFrame(), settings, partial=tmp_path / "partial")
    assert (len(kept.clips), kept.fault, kept.detail) == (1, "", found.detail)
    assert not (tmp_path / "partial").exists()


def test_what_cannot_be_read_is_told_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("#EXTM3U")
    found = cut_faces(tmp_path / "a.mp4", "a", tmp_path / "out", WholeFrame(), SMALL, partial=tmp_path / "out/.partial")
    assert (found.clips, found.fault) == ((), "unreadable")
    assert "is no video file that can be read" in found.detail


def test_a_clip_that_is_there_is_replaced_whole(cut: Callable[..., Cut], tmp_path: Path) -> None:
    old = tmp_path / "out/sad/a"
    old.mkdir(parents=True)
    (old / "00099.jpg").write_bytes(b"old")
    cut([(10, {0: 40})])
    assert sorted(path.name for path in old.iterdir()) == [f"{number:05d}.jpg" for number in range(1, 11)]


def test_stopped_midway_nothing_is_left(tmp_path: Path) -> None:
    class Stopping(Squares):
        def __call__(self, frame: np.ndarray) -> list[Face]:
            if self.frames == 8:
                assert any((tmp_path / "out/.partial").rglob("*.jpg"))
                raise KeyboardInterrupt
            return super().__call__(frame)

    video = write(tmp_path / "video.mp4", [(20, {0: 40})])
    with pytest.raises(KeyboardInterrupt):
        cut_faces(video, "a", tmp_path / "out", Stopping(), SMALL, partial=tmp_path / "out/.partial")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_disk_that_takes_no_more_is_no_fault_of_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    video = write(tmp_path / "video.mp4", [(20, {0: 40})])
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cannot write .*out: No space left on device; free or choose") as refused:
        cut_faces(video, "a", tmp_path / "out", Squares(), SMALL, partial=tmp_path / "out/.partial")
    assert refused.value.exit_status == 2
    assert list((tmp_path / "out").iterdir()) == []


def test_disk_is_freed_while_a_video_is_read(tmp_path: Path) -> None:
    """What cannot be the main face any more goes when its track ends, not when the video does."""
    most = 0

    class Watching(Squares):
        def __call__(self, frame: np.ndarray) -> list[Face]:
            nonlocal most
            most = max(most, len(list((tmp_path / "out").rglob("*.jpg"))))
            return super().__call__(frame)

    scenes: list[tuple[int, Places]] = [(40, {0: 40})]
    for _ in range(6):
        scenes += [(14, {}), (16, {1: 40})]
    video = write(tmp_path / "video.mp4", scenes)
    found = cut_faces(video, "a", tmp_path / "out", Watching(), SMALL, partial=tmp_path / "out/.partial")
    assert [clip.frames for clip in found.clips] == [40]
    assert most <= 40 + 16
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_face": -1}, "min_face -1"),
        ({"min_seconds": float("nan")}, "min_seconds nan"),
        ({"quality": 0}, "quality 0: JPEG knows 1 to 100"),
    ],
)
def test_settings_without_sense_are_refused(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        CutSettings(**wrong)
