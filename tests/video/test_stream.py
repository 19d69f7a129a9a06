import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from dfer.errors import ItemError
from dfer.video import stream as module
from dfer.video.decode import frame_count, read_frames
from dfer.video.stream import Limits, StreamInfo, VideoFrame, open_stream


def taken(path: Path, **options: object) -> tuple[list[VideoFrame], str]:
    with open_stream(path, **options) as stream:
        return list(stream), stream.damage


def test_every_odd_video(odd_case: NamedTuple, capfd: pytest.CaptureFixture[str]) -> None:
    """Each gives its frames, or one line with its path."""
    _, path, refused, damage = odd_case
    if refused:
        with pytest.raises(ItemError, match=refused) as caught:
            taken(path)
        assert "\n" not in str(caught.value)
        assert str(path).splitlines()[0] in str(caught.value)
    else:
        frames, found = taken(path)
        assert frames
        assert re.search(damage, found) if damage else not found, found
        seconds = np.array([frame.seconds for frame in frames])
        assert (np.diff(seconds) > 0).all()
        assert seconds[0] == 0
        assert (np.diff([frame.index for frame in frames]) > 0).all()
        assert all(frame.pixels.shape == frames[0].pixels.shape for frame in frames)
        assert all(frame.pixels.dtype == np.uint8 and frame.pixels.flags.c_contiguous for frame in frames)
    assert capfd.readouterr() == ("", "")


def test_the_frames_that_reading_by_index_gives(odd_case: NamedTuple) -> None:
    _, path, refused, damage = odd_case
    if refused or damage:
        pytest.skip("not read by index, or neighbours stand in for what is lost")
    frames, _ = taken(path)
    assert [frame.index for frame in frames] == list(range(frame_count(path)))
    expected = read_frames(path, np.arange(len(frames)))
    assert all(np.array_equal(frame.pixels, other) for frame, other in zip(frames, expected, strict=True))


def test_only_the_numbers_asked_for_are_converted(
    odd_video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, _ = taken(odd_video("shuffled_stamps"))
    converted: list[int] = []
    real = module.Upright.__call__
    monkeypatch.setattr(module.Upright, "__call__", lambda self, frame: converted.append(1) or real(self, frame))
    with open_stream(odd_video("shuffled_stamps"), numbers={3, 7, 99}) as stream:
        some = list(stream)
        assert stream.decoded == len(frames)
        assert stream.seconds == frames[-1].seconds
    assert len(converted) == 3
    for frame, number in zip(some, (0, 3, 7), strict=True):  # the first is always given
        assert np.array_equal(frame.pixels, frames[number].pixels)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("flv", "libx264"), ("avi", "mpeg4"), ("wmv", "wmv2")],
)
def test_every_container(video: Callable[..., Path], number: Callable, suffix: str, codec: str) -> None:
    frames, damage = taken(video(suffix, codec))
    assert [number(frame.pixels) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.seconds for frame in frames] == pytest.approx(np.arange(40) / 25)
    assert damage == ""


@pytest.mark.parametrize("name", ["single_face", "WolfgangLanger_Pexels", "no_face"])
def test_real_videos(test_data: Path, name: str) -> None:
    path = test_data / "videos" / f"{name}.mp4"
    wanted = np.random.default_rng(0).integers(0, frame_count(path), 24)
    expected = dict(zip(wanted.tolist(), read_frames(path, wanted)))
    with open_stream(path) as stream:
        for frame in stream:
            assert frame.index not in expected or np.array_equal(frame.pixels, expected.pop(frame.index))
    assert not expected
    assert stream.damage == ""


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("plain", StreamInfo(64, 96, 25.0, 1.2, 30)),
        ("rotated_90", StreamInfo(96, 64, 25.0, 1.2, 30)),
        ("thousand_fps", StreamInfo(64, 96, 1000.0, 0.2, 200)),
        ("variable_rate", StreamInfo(64, 96, 25.0, 2.42, None)),
    ],
)
def test_what_is_announced(odd_video: Callable[[str], Path], name: str, info: StreamInfo) -> None:
    with open_stream(odd_video(name)) as stream:
        assert stream.info == info


def test_time_is_that_of_the_stamps(odd_video: Callable[[str], Path]) -> None:
    frames, _ = taken(odd_video("variable_rate"))
    steps = np.diff([frame.seconds for frame in frames])
    assert steps == pytest.approx(np.array([*([0.02, 0.04, 0.2] * 9), 0.02, 0.02]))


def test_frames_beyond_a_rate_are_never_converted(
    odd_video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    converted: list[int] = []
    real = module.Upright.__call__
    monkeypatch.setattr(module.Upright, "__call__", lambda self, frame: converted.append(1) or real(self, frame))
    path = odd_video("thousand_fps")
    frames, _ = taken(path, max_rate=60)
    assert 12 <= len(frames) == len(converted) <= 13  # of 200 in a fifth of a second
    assert np.diff([frame.seconds for frame in frames]) == pytest.approx(1 / 60, abs=0.0021)
    assert [frame.index for frame in frames] == [round(1000 * frame.seconds) for frame in frames]
    with open_stream(path, max_rate=60) as stream:
        assert len(list(stream)) < 14
        assert stream.frames == 200
    assert len(taken(path, max_rate=1000)[0]) == 200
    assert len(taken(odd_video("plain"), max_rate=25)[0]) == 30
    assert len(taken(odd_video("plain"), max_rate=1e-9)[0]) == 1
    for rate in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=f"max_rate must be above 0, got {rate}"), open_stream(path, max_rate=rate):
            pass


def test_limits(odd_video: Callable[[str], Path]) -> None:
    path = odd_video("plain")
    assert len(taken(path, limits=Limits(pixels=96 * 64, seconds=1.2))[0]) == 30
    with pytest.raises(ItemError, match=r"has frames of 96 x 64; at most 6,143 pixels are read"):
        taken(path, limits=Limits(pixels=96 * 64 - 1))
    with pytest.raises(ItemError, match=r"claims to last 1\.2 s; at most 1\.1 s are read; cut it into parts"):
        taken(path, limits=Limits(seconds=1.1))
    with open_stream(odd_video("growing"), Limits(pixels=96 * 64)) as stream:
        assert sum(1 for _ in range(30) if next(iter(stream)).pixels.size) == 30
        with pytest.raises(ItemError, match="has frames of 192 x 128"):
            next(iter(stream))
        assert list(stream) == []


def test_a_size_that_grows_is_scaled_back(odd_video: Callable[[str], Path]) -> None:
    frames, damage = taken(odd_video("growing"))
    assert {frame.pixels.shape for frame in frames} == {(64, 96, 3)}
    assert np.abs(frames[45].pixels.astype(int) - frames[15].pixels).mean() < 12
    assert [len(frames), damage] == [60, ""]


def test_what_was_cut_off_is_said(odd_video: Callable[[str], Path], tmp_path: Path) -> None:
    whole = odd_video("variable_rate").read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: len(whole) * 4 // 5])
    frames, damage = taken(path)
    assert 5 < len(frames) < 25
    assert re.fullmatch(r"cut off after [01]\.\d s of 2\.4 s", damage)


def test_a_stretch_that_cannot_be_decoded_is_said(video: Callable[..., Path], tmp_path: Path) -> None:
    data = bytearray(video("mkv", "mjpeg", "yuvj420p").read_bytes())
    places = [found.start() for found in re.finditer(rb"\xff\xd8\xff", data)]
    assert len(places) == 40
    for place in places[20:23]:
        data[place : place + 600] = bytes(600)
    path = tmp_path / "hole.mkv"
    path.write_bytes(data)
    frames, damage = taken(path)
    assert damage == "3 frames between 0.8 s and 0.9 s could not be decoded"
    assert [frame.index for frame in frames] == [*range(20), *range(23, 40)]
    assert frames[20].seconds == pytest.approx(0.92)


def test_going_over_it_once(odd_video: Callable[[str], Path]) -> None:
    with open_stream(odd_video("plain")) as stream:
        assert next(iter(stream)).index == 0
        assert next(iter(stream)).index == 1
        assert len(list(stream)) == 28
        assert list(stream) == []
    with open_stream(odd_video("plain")) as stream:
        pass
    assert list(stream) == []


@pytest.mark.parametrize(
    "error", [KeyError("mine"), OSError(28, "No space left"), av.error.InvalidDataError(1, "full")]
)
def test_what_goes_wrong_outside_is_not_the_videos_fault(odd_video: Callable[[str], Path], error: Exception) -> None:
    def use(frame: VideoFrame) -> None:
        raise error

    with pytest.raises(type(error)) as caught, open_stream(odd_video("plain")) as stream:
        use(next(iter(stream)))
    assert caught.value is error


REFUSE_ALL = """
import resource, sys
from pathlib import Path
from dfer.video.stream import open_stream
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with open_stream(Path(sys.argv[1])) as stream:
    list(stream)
start = peak()
for name in sys.argv[2:]:
    try:
        with open_stream(Path(name)) as stream:
            list(stream)
        sys.exit(f"{name} was read")
    except ValueError as error:
        print(f"{peak() - start:6.0f} MB {error}")
sys.exit(peak() - start > 100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in Linux's units")
def test_claims_are_refused_before_memory_is_taken(odd_video: Callable[[str], Path]) -> None:
    names = [
        *("huge_claimed_size", "huge_but_possible_size", "huge_gif", "huge_in_flv", "huge_in_mpg", "huge_in_ts"),
        *("many_claimed_frames", "many_claimed_pieces", "many_claimed_edits", "many_claimed_items", "packed_header"),
        *("huge_claimed_length", "huge_stamps"),
    ]
    paths = [str(odd_video(name)) for name in ("plain", *names)]
    result = subprocess.run(
        [sys.executable, "-c", REFUSE_ALL, *paths], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(result.stdout.splitlines()) == len(names)


# In a process of its own: what other tests left behind comes and goes by tens of megabytes.
WATCH_MEMORY = """
import json, sys
from pathlib import Path
import psutil
from dfer.video.stream import open_stream
sizes = []
with open_stream(Path(sys.argv[1]), max_rate=1) as stream:
    for frame in stream:
        sizes.append(psutil.Process().memory_info().rss / 2**20)
print(json.dumps({"last": frame.seconds, "megabytes": sizes, "damage": stream.damage}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_memory_stays_flat_over_an_hour(odd_video: Callable[[str], Path], tmp_path: Path, suffix: str) -> None:
    path, count = tmp_path / f"long.{suffix}", 3000
    with av.open(str(odd_video("plain"))) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        with av.open(str(path), "w") as container:
            copy = container.add_stream_from_template(source.streams.video[0])
            for turn in range(count):
                for packet in packets:
                    again = av.Packet(bytes(packet))
                    again.pts, again.dts = packet.pts + turn * 30 * 512, packet.dts + turn * 30 * 512
                    again.time_base, again.is_keyframe, again.duration = packet.time_base, packet.is_keyframe, 512
                    again.stream = copy
                    container.mux(again)
    result = subprocess.run(
        [sys.executable, "-c", WATCH_MEMORY, str(path)], capture_output=True, text=True, timeout=600, check=True
    )
    seen = json.loads(result.stdout)
    assert seen["last"] == pytest.approx(count * 1.2, abs=2)
    assert len(seen["megabytes"]) == pytest.approx(seen["last"], abs=2)
    assert max(seen["megabytes"]) - seen["megabytes"][100] < 20
    assert seen["damage"] == ""
