"""Bytes flipped, left out and cut away at random: frames or one line, never a crash, a hang, or much memory."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

KINDS = {
    "mp4": ("libx264", "yuv420p", {"movflags": "faststart"}),
    "mov": ("png", "rgba", {"movflags": "faststart"}),
    "fragmented.mp4": ("libx264", "yuv420p", {"movflags": "frag_keyframe+empty_moov"}),
    "mkv": ("libx264", "yuv420p", {}),
    "webm": ("libvpx-vp9", "yuv420p", {}),
    "avi": ("mpeg4", "yuv420p", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "ts": ("libx264", "yuv420p", {}),
    "mpg": ("mpeg2video", "yuv420p", {}),
    "flv": ("libx264", "yuv420p", {}),
    "wmv": ("wmv2", "yuv420p", {}),
    "gif": ("gif", "rgb8", {}),
}
TOLERANT = ("ts", "mpg", "gif", "flv", "wmv")  # of which any piece can be read

# In a process of its own, where nothing else takes memory, and a decoder that crashes takes no test with it.
MUTATE = """
import resource, sys
from pathlib import Path
import numpy as np
from dfer.errors import ItemError
from dfer.video import frame_count, open_stream, read_frames
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def by_number(path):
    count = frame_count(path)
    frames = read_frames(path, np.linspace(0, count - 1, 4).round().astype(np.int64))
    assert len(frames) == 4 and all(frame.dtype == np.uint8 and frame.shape == frames[0].shape for frame in frames)
def streamed(path):
    with open_stream(path) as stream:
        for frame in stream:
            assert frame.pixels.ndim == 3
whole, path, seed = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]), int(sys.argv[4])
rng, read, refused = np.random.default_rng(seed), 0, 0
path.write_bytes(whole); by_number(path); streamed(path)
start = peak()
for number in range(int(sys.argv[3])):
    data = bytearray(whole)
    if number % 3 == 0:
        del data[rng.integers(len(data)) :]
    elif number % 3 == 1:
        place = int(rng.integers(len(data)))
        del data[place : place + int(rng.integers(1, 99))]
    for _ in range(int(rng.integers(1, 20)) if data and number % 3 == 2 else 0):
        data[rng.integers(min(len(data), 1500 if rng.random() < 0.5 else len(data)))] = rng.integers(256)
    path.write_bytes(data)
    for use in (by_number, streamed):
        try:
            use(path)
            read += 1
        except ItemError as error:
            assert "\\n" not in str(error), error
            refused += 1
        except BaseException:
            Path(sys.argv[2] + ".bad").write_bytes(data)
            raise
print(read, refused, round(peak() - start))
"""


def tried(whole: Path, path: Path, times: int, seed: int) -> tuple[int, int, int]:
    """Mutate a file so many times; how often it was read and refused, and the megabytes that took."""
    command = [sys.executable, "-c", MUTATE, str(whole), str(path), str(times), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 + times, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    read, refused, megabytes = map(int, re.findall(r"-?\d+", result.stdout))
    return read, refused, megabytes


@pytest.mark.parametrize("times", [25, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", KINDS)
def test_mutations(video: Callable[..., Path], tmp_path: Path, suffix: str, times: int) -> None:
    whole = video(suffix, *KINDS[suffix])
    read, refused, megabytes = tried(whole, tmp_path / f"mutated.{suffix}", times, seed=times)
    assert read + refused == 2 * times
    assert read
    assert refused or suffix in TOLERANT
    assert megabytes < 300
