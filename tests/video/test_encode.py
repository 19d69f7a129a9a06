from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.errors import InputError
from dfer.video import probe, read_frames, write_video
from dfer.video.encode import write_timed_video
from dfer.video.stream import open_stream


def test_frames_come_back(tmp_path: Path, frames: list[np.ndarray], number: Callable[[np.ndarray], int]) -> None:
    path = tmp_path / "new folder" / "-a b.mp4"
    write_video(path, iter(frames), fps=12.5)
    info = probe(path)
    assert (info.frames, info.height, info.width) == (40, 64, 96)
    assert info.seconds == pytest.approx(3.2)
    assert [number(frame) for frame in read_frames(path, np.arange(40))] == list(range(40))
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_name_that_ends_in_flv_gives_one(
    tmp_path: Path, frames: list[np.ndarray], number: Callable[[np.ndarray], int]
) -> None:
    path = tmp_path / "1001_DFA_ANG_XX.FLV"
    write_video(path, frames)
    assert path.read_bytes()[:3] == b"FLV"
    assert probe(path).frames == 40
    assert [number(frame) for frame in read_frames(path, np.array([39, 0, 20]))] == [39, 0, 20]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, frames: list[np.ndarray]) -> None:
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", frames[:6])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [([], "none"), ([(63, 64, 3)], "63"), ([(64, 64, 3), (32, 64, 3)], r"\(32, 64, 3\)"), ([(64, 64)], "64")],
)
def test_bad_frames_leave_nothing_behind(tmp_path: Path, shapes: list[tuple[int, ...]], message: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        write_video(path, [np.zeros(shape, np.uint8) for shape in shapes])
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_written(tmp_path: Path, frames: list[np.ndarray]) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot write"):
        write_video(tmp_path / "file" / "a.mp4", frames[:2])


def times_of(path: Path) -> list[float]:
    with open_stream(path) as stream:
        found = [frame.seconds for frame in stream]
        assert not stream.damage
    return found


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [
            (float(packet.pts * packet.time_base), bytes(packet)) for packet in container.demux(audio=0) if packet.size
        ]


def with_sound(path: Path, frames: list[np.ndarray], codec: str, container: str = "mp4", late: int = 0) -> None:
    """25 frames a second, the first ``late`` frames in, and a tone from the start."""
    with av.open(str(path), "w", format=container) as out:
        pictures, sound = out.add_stream("libx264", rate=25), out.add_stream(codec, rate=48000)
        pictures.height, pictures.width, pictures.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for place, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = place + late
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
        fitted = av.AudioResampler(sound.format, sound.layout, 48000, sound.codec_context.frame_size or 1024)
        tone = 0.2 * np.sin(np.arange(round((len(frames) + late) / 25 * 48000)) / 20).astype(np.float32)
        wave = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        wave.sample_rate, wave.pts = 48000, 0
        for piece in [*fitted.resample(wave), *fitted.resample(None)]:
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))


def test_every_frame_keeps_its_time(
    tmp_path: Path, frames: list[np.ndarray], number: Callable[[np.ndarray], int]
) -> None:
    times = [0.0, 0.04, 0.5, 0.501, 0.9, 3.7, 10.25]
    path = tmp_path / "new" / "a b.mp4"
    write_timed_video(path, zip(times, frames))
    assert times_of(path) == pytest.approx(times, abs=1e-4)
    assert [number(frame) for frame in read_frames(path, np.arange(7))] == list(range(7))
    assert [file.name for file in path.parent.iterdir()] == ["a b.mp4"]


def test_times_that_fall_together_stay_apart(tmp_path: Path, frames: list[np.ndarray]) -> None:
    write_timed_video(tmp_path / "a.mp4", [(k * 1e-7, frame) for k, frame in enumerate(frames[:5])])
    assert len(times_of(tmp_path / "a.mp4")) == 5


@pytest.mark.parametrize(("codec", "container"), [("aac", "mp4"), ("mp3", "matroska"), ("libopus", "matroska")])
def test_sound_is_copied(tmp_path: Path, frames: list[np.ndarray], codec: str, container: str) -> None:
    source, out = tmp_path / "source", tmp_path / "out.mp4"
    with_sound(source, frames, codec, container)
    write_timed_video(out, [(k / 25, frame) for k, frame in enumerate(frames)], sound=source)
    before, after = sound_of(source), sound_of(out)
    assert len(before) > 50
    assert [data for _, data in after] == [data for _, data in before]
    assert after[-1][0] - after[0][0] == pytest.approx(before[-1][0] - before[0][0], abs=0.03)
    assert times_of(out) == pytest.approx([k / 25 for k in range(40)], abs=1e-4)
    assert {file.name for file in tmp_path.iterdir()} == {"source", "out.mp4"}


def test_sound_stays_with_the_pictures(tmp_path: Path, frames: list[np.ndarray]) -> None:
    source, out = tmp_path / "late.mkv", tmp_path / "out.mp4"
    with_sound(source, frames, "mp3", "matroska", late=25)
    write_timed_video(out, [(k / 25, frame) for k, frame in enumerate(frames)], sound=source)
    before, after = {data: time for time, data in sound_of(source)}, sound_of(out)
    assert len(after) > 50  # what sounds before the first picture is not heard
    for time, data in after:
        assert before[data] - time == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("what", ["silent", "pcm", "ts", "gone", "text", "damaged"])
def test_without_sound_to_copy_the_pictures_stand(tmp_path: Path, frames: list[np.ndarray], what: str) -> None:
    source, out = tmp_path / "source", tmp_path / "out.mp4"
    if what == "silent":
        write_video(source, frames)
    elif what == "pcm":
        with_sound(source, frames, "pcm_s16le", "matroska")
    elif what == "ts":  # which says too little of its sound before it is decoded
        with_sound(source, frames, "aac", "mpegts")
    elif what == "text":
        source.write_text("no video")
    elif what == "damaged":
        with_sound(source, frames, "mp3", "matroska")
        source.write_bytes(source.read_bytes()[:3000])
    write_timed_video(out, [(k / 25, frame) for k, frame in enumerate(frames)], sound=source)
    assert len(times_of(out)) == 40
    assert len(sound_of(out)) < 20
    assert not [file for file in tmp_path.iterdir() if file.name not in ("source", "out.mp4")]


def test_what_fails_midway_leaves_the_old_file(tmp_path: Path, frames: list[np.ndarray]) -> None:
    def broken() -> Iterator[tuple[float, np.ndarray]]:
        yield 0.0, frames[0]
        raise KeyboardInterrupt

    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_timed_video(tmp_path / "a.mp4", broken(), sound=tmp_path / "b.mp4")
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
