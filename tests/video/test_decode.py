from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from dfer.errors import ItemError
from dfer.video import VideoInfo, frame_count, probe, read_frames, write_video

Number = Callable[[np.ndarray], int]


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "libx264", "yuv420p"),
        ("mkv", "libx264", "yuv420p"),
        ("flv", "libx264", "yuv420p"),
        ("ts", "libx264", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("mpg", "mpeg2video", "yuv420p"),
        ("wmv", "wmv2", "yuv420p"),
        ("gif", "gif", "rgb8"),
    ],
)
def test_the_asked_frames_in_the_asked_order(
    video: Callable[..., Path], number: Number, suffix: str, codec: str, pixels: str
) -> None:
    path = video(suffix, codec, pixels)
    assert frame_count(path) == 40
    wanted = np.array([30, 3, 3, 39, 0, 17, 29, 10])
    assert [number(frame) for frame in read_frames(path, wanted)] == wanted.tolist()
    assert [number(frame) for frame in read_frames(path, np.arange(40))] == list(range(40))
    assert probe(path) == VideoInfo(40, 64, 96, pytest.approx(1.6, abs=0.05))


def test_indices_outside_are_refused(video: Callable[..., Path]) -> None:
    path = video("mp4")
    for wanted in ([40], [-1, 3]):
        with pytest.raises(IndexError, match="which has 40"):
            read_frames(path, np.array(wanted))
    assert read_frames(path, np.array([], np.int64)) == []


def test_a_video_of_one_frame(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "one.mp4"
    write_video(path, frames[20:21])
    assert frame_count(path) == 1
    assert len(read_frames(path, np.zeros(16, np.int64))) == 16
    assert probe(path).frames == 1


@pytest.mark.parametrize("name", ["-lead.mp4", "concat:a.mp4", "ünï cödé 表.mp4", "a%03d b.mp4", ".hidden.mp4", "text"])
def test_any_name(tmp_path: Path, mp4: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(mp4)
    assert frame_count(path) == 40
    assert len(read_frames(path, np.array([5, 6]))) == 2


def test_a_file_that_changed_is_read_again(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "clip.mp4"
    for count in (5, 9):
        write_video(path, frames[:count])
        assert frame_count(path) == count


def test_bad_files_give_one_line(tmp_path: Path, mp4: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(mp4)
    contents = {
        "text": (b"this is no video\n" * 100, "no video"),
        "zero": (b"", "0 bytes"),
        "half": (mp4[: len(mp4) // 2], "cut off"),
        "header": (mp4[:100], "cut off|no pictures"),
        "headless": (mp4[:32] + bytes(len(mp4) - 32), "cut off|no pictures"),
        "playlist": (f"#EXTM3U\n#EXTINF:1,\nfile:{whole}\n".encode(), "no video"),
        "concat": (f"ffconcat version 1.0\nfile '{whole}'\n".encode(), "no video"),
    }
    for name, (content, message) in contents.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        for call in (frame_count, probe, lambda path: read_frames(path, np.zeros(2, np.int64))):
            with pytest.raises(ItemError, match=message) as caught:
                call(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
    with pytest.raises(ItemError, match="No such file"):
        frame_count(tmp_path / "missing.mp4")
    with pytest.raises(ItemError, match="directory"):
        frame_count(tmp_path)
    assert capfd.readouterr() == ("", "")


def both_ends(path: Path) -> list[np.ndarray]:
    return read_frames(path, np.unique([0, frame_count(path) - 1]))


LONG = {"huge_claimed_length", "huge_stamps"}  # reading by index takes no time for long videos


def test_every_odd_video(odd_case: NamedTuple, capfd: pytest.CaptureFixture[str]) -> None:
    """Each gives its frames, or one line with its path; most damage is refused."""
    name, path, refused, _ = odd_case
    if refused and name not in LONG:
        with pytest.raises(ItemError) as caught:
            both_ends(path)
        assert "\n" not in str(caught.value)
        assert str(path).splitlines()[0] in str(caught.value)
    else:
        with pytest.raises(ItemError, match="cut off") if name == "cut_in_mdat" else nullcontext():
            assert all(frame.ndim == 3 for frame in both_ends(path))
    assert capfd.readouterr() == ("", "")


def test_a_trimmed_video_is_whole(odd_video: Callable[[str], Path], number: Number) -> None:
    """An edit list leaves frames out; none of them is missing."""
    assert frame_count(odd_video("trimmed")) == 10
    whole = read_frames(odd_video("plain"), np.arange(30))
    shown = read_frames(odd_video("trimmed"), np.arange(10))
    best = [min(range(30), key=lambda i: np.abs(whole[i].astype(int) - frame).sum()) for frame in shown]
    assert best == list(range(10, 20))


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 44100, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(ItemError, match="no pictures"):
        frame_count(path)


def test_damage_in_the_middle(tmp_path: Path, mp4: bytes, number: Number, capfd: pytest.CaptureFixture[str]) -> None:
    """A few lost frames give way to their neighbours; half of them refuse the file."""
    data = bytearray(mp4)
    at, size = len(data) * 6 // 10, len(data) // 20
    data[at : at + size] = bytes(size)
    path = tmp_path / "hole.mp4"
    path.write_bytes(bytes(data))
    wanted = np.arange(0, 40, 4)
    read = [number(frame) for frame in read_frames(path, wanted)]
    assert read[:3] == [0, 4, 8]
    assert max(abs(found - asked) for found, asked in zip(read, wanted)) <= 10
    data[len(data) // 4 :] = bytes(len(data) - len(data) // 4)
    path.write_bytes(bytes(data))
    with pytest.raises(ItemError, match=r"of 10 frames cannot be decoded|cut off"):
        read_frames(path, wanted)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "count"), [("single_face", 72), ("WolfgangLanger_Pexels", 472), ("no_face", None)])
def test_real_videos_equal_decoding_from_the_start(test_data: Path, name: str, count: int | None) -> None:
    path = test_data / "videos" / f"{name}.mp4"
    with av.open(str(path)) as container:
        sequence = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frame_count(path) == len(sequence)
    assert count in (None, len(sequence))
    wanted = np.random.default_rng(0).integers(0, len(sequence), 24)
    for index, frame in zip(wanted, read_frames(path, wanted)):
        assert np.array_equal(frame, sequence[index])
