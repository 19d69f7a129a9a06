"""Clips that show nearly the same pictures: what is found, and what is left alone."""

import io
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from dfer.datasets import CSVClips, SyntheticFaces
from dfer.datasets.check.findings import Findings
from dfer.datasets.check.sides import Sides
from dfer.datasets.check.similar import NEAR, NEAR_EACH, find_similar, hash_clip, hash_frame, near_pairs, three_frames
from dfer.datasets.faces.command import faces
from dfer.datasets.index import index_listed
from dfer.video.images import Frame, read_image

Copy = Callable[[Image.Image], Image.Image]


def encoded(picture: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def scaled(by: float) -> Copy:
    return lambda picture: picture.resize((int(picture.width * by), int(picture.height * by)))


def cut(left: float, rest: float) -> Copy:
    """Cut shares of the sides off the left edge, and off the other three."""
    return lambda picture: picture.crop(
        (
            *(round(picture.width * left), round(picture.height * rest)),
            *(round(picture.width * (1 - rest)), round(picture.height * (1 - rest))),
        )
    )


COPIES: dict[str, Copy] = {
    "encoded anew": encoded,
    "half the size": scaled(0.5),
    "twice the size": scaled(2),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "more contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(1.2),
    "2 % off one edge": cut(0.02, 0),
    "1 % off every edge": cut(0.01, 0.01),
}


def hashed(frames: list[Frame]) -> NDArray[np.uint64]:
    return np.stack([hash_frame(frame) for frame in frames])


def distance(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.bitwise_count(one ^ other).sum(axis=1).astype(np.int64)  # (3,)


def near(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> bool:
    bits = distance(one, other)
    return bool(bits.sum() <= NEAR and bits.max() <= NEAR_EACH)


def copied(frames: list[Frame], copy: Copy) -> list[Frame]:
    return [np.asarray(copy(Image.fromarray(frame)).convert("RGB")) for frame in frames]


@pytest.fixture(scope="module")
def drawn_clips() -> list[list[Frame]]:
    drawn = SyntheticFaces("train", size=112, preset="wild", clips=24, clips_per_identity=4, cache=False)
    ends = [(row, drawn.frame_count(row)) for row in range(len(drawn))]
    return [[np.asarray(frame) for frame in drawn.read(row, np.array([0, n // 2, n - 1]))] for row, n in ends]


@pytest.fixture(scope="module")
def face_clips(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Frame]]:
    """Faces cut from videos of two people, in stretches of 24 frames: first, middle and last frame of each."""
    folder = tmp_path_factory.mktemp("faces")
    videos = folder / "videos"
    videos.mkdir()
    for name in ("single_face", "WolfgangLanger_Pexels"):
        (videos / f"{name}.mp4").symlink_to(test_data / f"videos/{name}.mp4")
    model = test_data / "models/blaze_face_full_range_sparse.tflite"
    faces(videos, folder / "out", detector_model=model, workers=0)
    clips = []
    for clip in sorted(path for path in (folder / "out").iterdir() if path.is_dir()):
        names = sorted(clip.glob("*.jpg"))
        stretches = [names[start : start + 24] for start in range(0, len(names) - 23, 24)]
        clips += [[read_image(some[at]) for at in (0, 12, 23)] for some in stretches]
    return clips


def calibrate(clips: list[list[Frame]]) -> None:
    """Every copy of every clip is found; no clip is taken for another."""
    hashes = [hashed(clip) for clip in clips]
    for name, copy in COPIES.items():
        missed = [row for row, clip in enumerate(clips) if not near(hashes[row], hashed(copied(clip, copy)))]
        assert not missed, name
    assert not [pair for pair in combinations(hashes, 2) if near(*pair)]


def test_drawn_faces(drawn_clips: list[list[Frame]]) -> None:
    calibrate(drawn_clips)


@pytest.mark.slow
def test_real_faces_less_than_a_second_apart(face_clips: list[list[Frame]]) -> None:
    assert len(face_clips) > 20
    calibrate(face_clips)


def test_what_is_not_found(drawn_clips: list[list[Frame]]) -> None:
    clip = drawn_clips[0]
    mirrored = [frame[:, ::-1] for frame in clip]
    assert not near(hashed(clip), hashed(mirrored))
    assert not near(hashed(clip), hashed([clip[0], clip[0], clip[0]]))


def write(folder: Path, frames: list[Frame], name: str = "{}.png") -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / name.format(number))


@pytest.fixture
def survey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn_clips: list[list[Frame]]) -> Any:
    """Clips a, b, c for training, d, e for testing: d is b brighter, c is a at half its size, e is black."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    a, b = drawn_clips[:2]
    black = [np.zeros((64, 64, 3), np.uint8)] * 3
    clips = {"a": a, "b": b, "c": copied(a, scaled(0.5)), "d": copied(b, COPIES["brighter"]), "e": black, "f": black}
    for name, frames in clips.items():
        write(tmp_path / name, frames)
    lines = "a,sad,train\nb,sad,train\nc,sad,train\nd,happy,test\ne,sad,test\nf,sad,train\n"
    (tmp_path / "clips.csv").write_text(f"clip,label,split\n{lines}")
    return CSVClips.survey(tmp_path / "clips.csv")


def test_pairs_on_both_sides_come_first_and_black_clips_are_left_alone(survey: Any) -> None:
    found, sides = Findings(), Sides(survey.parts)
    pairs = find_similar(survey.index, sides, [], found)
    assert [(sides.ids[pair.one], sides.ids[pair.other]) for pair in pairs] == [("d", "b"), ("a", "c")]
    assert found.problems == {}
    assert found.notes == ["pairs of clips with nearly the same pictures: 2, on both sides 1 (d and b, a and c)"]
    nearest = found.details["similar"]["nearest"]
    assert nearest[0]["clips"] == ["d", "b"]
    assert nearest[0]["labels"] == ["happy", "sad"]
    assert nearest[0]["sets"] == [("test", "train")]
    assert 0 <= nearest[0]["distance"] <= NEAR


def test_known_copies_are_no_news(survey: Any) -> None:
    found, sides = Findings(), Sides(survey.parts)
    by_name = {name: entry for entry, name in sides.ids.items()}
    pairs = find_similar(survey.index, sides, [[by_name["a"], by_name["c"]], [by_name["d"]]], found)
    assert [(sides.ids[pair.one], sides.ids[pair.other]) for pair in pairs] == [("d", "b")]


def test_first_middle_and_last(tmp_path: Path) -> None:
    frames = [np.full((8, 8, 3), 10 * number, np.uint8) for number in range(6)]
    write(tmp_path / "six", frames)
    write(tmp_path / "one", frames[4:5])
    index = index_listed(tmp_path, "x", ["six", "one"])
    assert [int(frame.mean()) for frame in three_frames(index, 0)] == [0, 30, 50]
    assert [int(frame.mean()) for frame in three_frames(index, 1)] == [40, 40, 40]


def test_a_clip_that_cannot_be_read_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"nothing")
    assert hash_clip(index_listed(tmp_path, "x", ["a"]), 0) is None


def test_near_pairs_against_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, (200, 3, 4), np.uint64)
    for copy, original, bits in ((150, 3, 30), (199, 64, 33), (65, 64, 10), (10, 9, 50)):
        hashes[copy] = hashes[original]
        for place in range(3):
            flat = np.unpackbits(hashes[copy, place].view(np.uint8))
            flat[rng.choice(256, bits, replace=False)] ^= 1
            hashes[copy, place] = np.packbits(flat).view(np.uint64)
    slow = {(i, j): int(distance(hashes[i], hashes[j]).sum()) for i, j in combinations(range(200), 2)
            if near(hashes[i], hashes[j])}  # fmt: skip
    found = near_pairs(hashes)
    assert {(one, other): bits for one, other, bits in found} == slow
    assert len(found) == len(slow)
    assert {(3, 150), (64, 199), (64, 65)} <= set(slow)
    assert (9, 10) not in slow  # 150 bits in all


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare(count: int) -> None:
    assert near_pairs(np.zeros((count, 3, 4), np.uint64)) == []


@pytest.mark.slow
def test_all_of_ferv39k_in_half_a_minute() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**64, (39_000, 3, 4), np.uint64)
    start = time.process_time()  # other processes do not count
    assert near_pairs(hashes) == []
    assert time.process_time() - start < 30
