import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import simplejpeg

from dfer.datasets import FolderClips
from dfer.errors import ItemError
from dfer.transforms import EvalTransform
from dfer.video import images as module
from dfer.video import read_image


def beside(name: str) -> ModuleType:
    """Import a module of the tests; they have no path of their own."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = found = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found)
    return sys.modules[name]


odd = beside("odd_images")


def off(frame: np.ndarray, expected: np.ndarray) -> float:
    """Tell how far the mean is off."""
    assert frame.shape == expected.shape
    assert frame.dtype == np.uint8
    return float(np.abs(frame.astype(int) - expected).mean())


@pytest.mark.parametrize("name", odd.ODD)
def test_every_odd_image(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each is the right picture, or one line with its path."""
    suffix, make, expected, tolerance, refused = odd.ODD[name]
    data, path = make(), tmp_path / f"-naïve 表 1{suffix}"
    path.write_bytes(data)
    if expected is None:
        for source in (data, path):
            with pytest.raises(ItemError, match=refused) as caught:
                read_image(source)
            assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    else:
        frame = read_image(path)
        assert off(frame, expected) <= tolerance
        assert frame.flags.c_contiguous
        assert frame.flags.writeable
        assert np.array_equal(frame, read_image(data))
    assert capfd.readouterr() == ("", "")


def all_of(root: Path, frames: int) -> FolderClips:
    """Open the clips below ``train``; there must be a test set too."""
    (root / "test/happy/clip").mkdir(parents=True)
    (root / "test/happy/clip/1.jpg").write_bytes(odd.jpeg())
    return FolderClips(root, "train", transform=EvalTransform(frames, 32))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> FolderClips:
    """A clip of five frames for each odd image, which is the third of them."""
    root = tmp_path_factory.mktemp("clips")
    for name, image in odd.ODD.items():
        folder = root / "train/happy" / name
        folder.mkdir(parents=True)
        for number in (1, 2, 4, 5):
            (folder / f"{number}.jpg").write_bytes(odd.jpeg(np.full((30 + number, 40, 3), 40 * number, np.uint8)))
        (folder / f"3{image.suffix}").write_bytes(image.make())
    return all_of(root, 5)


@pytest.mark.parametrize("name", odd.ODD)
def test_every_odd_image_in_a_clip(name: str, clips: FolderClips) -> None:
    """It is the right picture, or gives way to its neighbour; the clip is read."""
    row = list(clips.clip_ids).index(f"train/happy/{name}")
    frames = list(clips.source.read(row, np.arange(5)))
    assert [frame.shape for frame in frames[:2]] == [(31, 40, 3), (32, 40, 3)]
    assert [round(frames[i].mean() / 40) for i in (0, 1, 3, 4)] == [1, 2, 4, 5]
    _, _, expected, tolerance, _ = odd.ODD[name]
    assert off(frames[2], frames[1] if expected is None else expected) <= tolerance
    assert clips.source.skipped[row] == (expected is None)
    assert clips[row].clip.shape == (5, 3, 32, 32)


def test_a_clip_of_mixed_files(tmp_path: Path) -> None:
    folder = tmp_path / "train/happy/mixed"
    folder.mkdir(parents=True)
    names = ["grey_jpeg", "rgb_png_16", "cmyk_jpeg", "turned_6_jpeg", "palette", "wide", "rgb_alpha_webp"]
    for number, name in enumerate(names):
        (folder / f"{number}{odd.ODD[name].suffix}").write_bytes(odd.ODD[name].make())
    clips = all_of(tmp_path, 7)
    frames = clips.source.read(0, np.arange(7))
    for frame, name in zip(frames, names, strict=True):
        assert off(frame, odd.ODD[name].expected) <= odd.ODD[name].tolerance
    assert clips[0].clip.shape == (7, 3, 32, 32)
    assert clips.source.skipped[0] == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pipe.jpg", "it is a pipe, not a file"),
        ("zero.jpg", "it is a device, not a file"),
        ("nowhere.jpg", "No such file"),
        ("loop.jpg", "symbolic links"),
        ("folder.jpg", "Is a directory"),
        ("missing.jpg", "No such file"),
        ("secret.jpg", "denied"),
        ("two\nlines.jpg", r"cannot read .*two\\nlines.jpg: No such file"),
    ],
)
def test_what_is_no_file_is_refused_at_once(name: str, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "train/happy/clip"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "nowhere.jpg").symlink_to("gone.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "secret.jpg").write_bytes(odd.jpeg())
    (folder / "secret.jpg").chmod(0)
    if name == "secret.jpg" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    with pytest.raises(ItemError, match=words) as caught:
        read_image(folder / name)
    assert "\n" not in str(caught.value)
    for number in range(9):
        (folder / f"{number}.jpg").write_bytes(odd.jpeg())
    frames = all_of(tmp_path, 1).source.read(0, np.arange(15))
    assert [frame.shape for frame in frames] == [odd.RGB.shape] * 15


def test_a_file_that_no_frame_can_be(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.write(odd.jpeg())
        file.truncate(module.MOST_BYTES + 1)
    with pytest.raises(ItemError, match=r"sparse.jpg has 256 MB, which no frame has; leave its clip out"):
        read_image(path)


def test_a_link_to_a_picture(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(odd.jpeg())
    (tmp_path / "link.png").symlink_to("real")
    assert off(read_image(tmp_path / "link.png"), odd.RGB) < 2


def test_what_is_beneath_transparency_shows() -> None:
    """Also where it is not seen at all."""
    hidden = np.dstack([odd.RGB, np.zeros(odd.RGB.shape[:2], np.uint8)])
    assert np.array_equal(read_image(odd.png(hidden)), odd.RGB)


def test_a_profile_changes_nothing() -> None:
    assert np.array_equal(read_image(odd.jpeg(icc_profile=odd.profile())), read_image(odd.jpeg()))


def test_no_byte_can_be_missing_from_the_end() -> None:
    jpeg = odd.jpeg()
    for kept in (1, 20, len(jpeg) // 2, len(jpeg) - 40, len(jpeg) - 1):
        with pytest.raises(ItemError, match=r"damaged|no image"):
            read_image(jpeg[:kept])
    loose = simplejpeg.decode_jpeg(jpeg[: len(jpeg) // 2], strict=False)
    assert loose.shape == odd.RGB.shape  # what the strict way protects from


def test_memory_that_is_short_is_not_the_files_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(data: bytes) -> None:
        raise MemoryError

    monkeypatch.setattr(simplejpeg, "decode_jpeg", short)
    with pytest.raises(MemoryError):
        read_image(odd.jpeg())


# In a process of its own, where nothing else takes memory, and a decoder that crashes takes no test with it.
MUTATE = """
import resource, sys
from pathlib import Path
import numpy as np
from dfer.errors import ItemError
from dfer.video import read_image
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
rng, whole, read, refused = np.random.default_rng(0), Path(sys.argv[1]).read_bytes(), 0, 0
read_image(whole)
start = peak()
for number in range(int(sys.argv[2])):
    data = bytearray(whole)
    if number % 3 == 0:
        del data[rng.integers(len(data)) :]
    elif number % 3 == 1:
        place = int(rng.integers(len(data)))
        del data[place : place + int(rng.integers(1, 9))]
    for _ in range(int(rng.integers(1, 9)) if data and number % 3 == 2 else 0):
        head = rng.integers(min(len(data), 700 if rng.random() < 0.5 else len(data)))
        data[head] = rng.integers(256)
    try:
        frame = read_image(bytes(data))
        assert frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size
        read += 1
    except ItemError as error:
        assert "\\n" not in str(error), error
        refused += 1
print(read, refused, round(peak() - start))
"""
MUTATED = [
    *("progressive", "cmyk_jpeg", "turned_6_jpeg", "rgb_png_16", "interlaced", "palette_transparent", "turned_6_png"),
    *("grey_tiff_16", "pages", "cmyk_tiff", "turned_6_webp", "moving_webp", "moving_png", "gif", "restarts"),
]


@pytest.mark.parametrize("name", MUTATED)
def test_three_hundred_mutations(name: str, tmp_path: Path) -> None:
    """Each is a picture or one line: no crash, no hang, no memory, not a word on the terminal."""
    path = tmp_path / "picture"
    path.write_bytes(odd.ODD[name].make())
    result = subprocess.run(
        [sys.executable, "-c", MUTATE, str(path), "300"], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    read, refused, megabytes = map(int, re.findall(r"\d+", result.stdout))
    assert read + refused == 300
    assert refused > 30
    assert megabytes < 300
