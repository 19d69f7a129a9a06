import pickle
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from dfer.cli import main
from dfer.datasets.clip_files import ClipFiles, why_unusable
from dfer.datasets.csv_clips import CSVClips
from dfer.datasets.index import index_listed
from dfer.datasets.listing import Listed
from dfer.errors import InputError, ItemError
from dfer.transforms.presets import ClipTransform, EvalTransform, TrainTransform
from dfer.video.encode import write_video


def files(trees: Any, *names: str) -> ClipFiles:
    index = index_listed(trees.root, "x", names)
    return ClipFiles(index, [Listed(name, "sad", "") for name in names], range(len(names)), "it")


def greys(read: list[Any]) -> list[int]:
    return [round(float(frame.mean()) / 8) for frame in read]


def test_folders_and_videos_give_the_wanted_frames_in_order(trees: Any) -> None:
    trees.clip(trees.root / "a", [f"{i}.jpg" for i in range(1, 12)])
    trees.video(trees.root / "b.mp4", 11)
    found = files(trees, "a", "b.mp4")
    wanted = np.array([10, 0, 0, 4])
    assert [greys(found.read(row, wanted)) for row in (0, 1)] == [[11, 1, 1, 5]] * 2
    assert [found.frame_count(row) for row in (0, 1)] == [11, 11]


def test_a_video_of_one_frame(trees: Any) -> None:
    trees.video(trees.root / "one.mp4", 1)
    found = files(trees, "one.mp4")
    assert greys(found.read(0, np.zeros(16, np.int64))) == [1] * 16


def test_every_pattern_of_bad_frames(trees: Any) -> None:
    """Against the rule written out: the nearest readable frame, the earlier one of two."""
    names = [f"{i}.jpg" for i in range(6)]
    trees.clip(trees.root / "a", names)
    good = {name: (trees.root / "a" / name).read_bytes() for name in names}
    for pattern in range(64):
        bad = [i for i in range(6) if pattern >> i & 1]
        for i, name in enumerate(names):
            (trees.root / "a" / name).write_bytes(b"" if i in bad else good[name])
        found = files(trees, "a")
        if 2 * len(bad) >= 6:
            with pytest.raises(ItemError, match=f"clip a: {len(bad)} of 6 wanted frames"):
                found.read(0, np.arange(6))
            continue
        readable = [i for i in range(6) if i not in bad]
        nearest = [min(readable, key=lambda j: (abs(j - i), j)) + 1 for i in range(6)]
        assert greys(found.read(0, np.arange(6))) == nearest
        assert found.skipped.tolist() == [len(bad)]


def test_a_neighbour_that_was_not_wanted_may_be_bad_too(trees: Any) -> None:
    names = [f"{i:02d}.jpg" for i in range(12)]
    trees.clip(trees.root / "a", names)
    for i in (3, 4, 5):
        (trees.root / "a" / names[i]).write_bytes(b"no picture")
    assert greys(files(trees, "a").read(0, np.array([0, 4, 8, 11]))) == [1, 3, 9, 12]


class Reader:
    def __init__(self, clips: ClipFiles) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int) -> int:
        return len(self.clips.read(0, np.arange(3)))


def test_what_a_worker_skips_is_counted_here(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg", "2.jpg", "3.jpg"])
    (trees.root / "a/2.jpg").write_bytes(b"")
    found = files(trees, "a")
    assert sum(len(batch) for batch in DataLoader(Reader(found), num_workers=2)) == 4  # type: ignore[arg-type]
    assert found.skipped.tolist() == [1]


def test_survives_a_pickle(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg"])
    assert greys(pickle.loads(pickle.dumps(files(trees, "a"))).read(0, np.zeros(2, np.int64))) == [1, 1]


def test_a_video_that_breaks_later_names_the_clip(trees: Any) -> None:
    trees.video(trees.root / "b.mp4", 11)
    found = files(trees, "b.mp4")
    Path(trees.root / "b.mp4").write_text("gone")
    with pytest.raises(ItemError, match=r"clip b.mp4: .*`dfer data check it --decode`"):
        found.read(0, np.arange(3))


def test_why_unusable(trees: Any) -> None:
    trees.clip(trees.root / "a", ["1.jpg"])
    (trees.root / "e").mkdir()
    (trees.root / "t.mp4").write_text("text")
    index = index_listed(trees.root, "x", ["a", "e", "t.mp4", "m"])
    reasons = [why_unusable(index, i) for i in (0, 1, 2, 3, -1)]
    assert reasons == ["", "without a frame in its folder", "no readable video", "not on disk", "not on disk"]


def picture(clip: int, frame: int, size: int = 64) -> np.ndarray:
    """Smooth colours that change from clip to clip; each frame is eight levels lighter than the one before."""
    rng = np.random.default_rng(clip)
    coarse = torch.from_numpy(rng.uniform(0, 90, (1, 3, 4, 4)) + 8 * frame)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def listing(root: Path, clips: list[str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    file = root / "clips.csv"
    file.write_text("clip,label,split\n" + "".join(f"{clip},sad,train\n" for clip in clips))
    return file


@pytest.fixture
def mixed(trees: Any) -> Path:
    """A CSV file of two folders of PNG files, one of JPEG files, and a video."""
    file = listing(trees.root, ["a", "b", "c", "v.mp4"])
    for clip, name in enumerate("abc"):
        (file.parent / name).mkdir()
        for frame in range(20):
            image = Image.fromarray(picture(clip, frame))
            image.save(file.parent / name / f"{frame:02d}.{'jpg' if name == 'c' else 'png'}", quality=95)
    write_video(file.parent / "v.mp4", [picture(3, frame) for frame in range(20)])
    return file


def pack(file: Path, size: int, *options: str) -> None:
    assert main(["data", "cache", "csv", str(file), "--size", str(size), *options]) == 0


def source(data: CSVClips) -> ClipFiles:
    assert isinstance(data.source, ClipFiles)
    return data.source


@pytest.mark.parametrize("transform", [EvalTransform(8, 24), TrainTransform(8, 24)])
@pytest.mark.parametrize("raw", [False, True])
def test_a_packed_sample_is_the_original_one_but_for_resizing(mixed: Path, transform: ClipTransform, raw: bool) -> None:
    pack(mixed, 32, *["--raw"] * raw)
    packed = CSVClips(mixed, "train", transform=transform, seed=3)
    originals = CSVClips(mixed, "train", transform=transform, seed=3, packed=False)
    assert source(packed).reads(transform.needed_size) == f"packed, 32 px, {'raw' if raw else 'JPEG'}"
    assert source(originals).reads(transform.needed_size) == "originals"
    for epoch in range(3):
        for row in range(4):
            one, other = packed[(epoch, row)].clip, originals[(epoch, row)].clip
            assert one.shape == other.shape == (8, 3, 24, 24)
            difference = (one.int() - other.int()).abs().float()
            assert difference.mean() > 0
            assert difference.flatten(1).mean(1).max() < 4.5  # no other frame, crop, flip or colour
    if isinstance(transform, TrainTransform):
        apart = (packed[(0, 0)].clip.int() - packed[(1, 0)].clip.int()).abs().float().mean()
        assert apart > 8  # another crop, flip or colour would be seen


def test_raw_pixels_of_the_own_size_are_the_originals_bit_for_bit(mixed: Path) -> None:
    pack(mixed, 64, "--raw")
    for transform in (EvalTransform(8, 64), EvalTransform(8, 56), TrainTransform(8, 48)):
        packed = CSVClips(mixed, "train", transform=transform)
        originals = CSVClips(mixed, "train", transform=transform, packed=False)
        assert source(packed).reads(transform.needed_size) == "packed, 64 px, raw"
        for row in range(4):
            assert torch.equal(packed[row].clip, originals[row].clip)


def test_frames_as_they_are_come_from_the_originals(mixed: Path) -> None:
    pack(mixed, 32)
    data = CSVClips(mixed, "train")
    assert [frame.shape for frame in data.read(0, np.arange(2))] == [(64, 64, 3)] * 2
    assert source(data).reads(None) == "originals"


def test_the_smallest_copy_that_is_large_enough_is_read(mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
    pack(mixed, 16)
    pack(mixed, 24, "--raw")
    files = source(CSVClips(mixed, "train"))
    kinds = [files.reads(size) for size in (1, 16, 17, 24, 25)]
    assert kinds == [*["packed, 16 px, JPEG"] * 2, *["packed, 24 px, raw"] * 2, "originals"]
    sides = [files.read(3, np.zeros(1, np.int64), size)[0].shape[0] for size in (16, 24, 25, None)]
    assert sides == [16, 24, 64, 64]


def test_copies_that_are_too_small_are_told_of_once(mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
    pack(mixed, 16)
    data = CSVClips(mixed, "train", transform=EvalTransform(4, 32))
    for _ in range(2):
        assert len(list(DataLoader(Reader32(data), num_workers=0))) == 4
    (said,) = caplog.messages
    assert "clips-16 is too small for 32 px, so the originals are read; `" in said
    assert main(shlex.split(said.split("`")[1])[1:]) == 0
    assert source(CSVClips(mixed, "train")).reads(32) == "packed, 32 px, JPEG"


class Reader32(Reader):
    def __init__(self, data: CSVClips) -> None:
        self.data = data

    def __getitem__(self, i: int) -> int:
        return len(self.data[i].clip)


def test_what_one_worker_tells_no_other_does(mixed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pack(mixed, 16)
    data = CSVClips(mixed, "train", transform=EvalTransform(4, 32))
    next(iter(DataLoader(Reader32(data), num_workers=1)))
    assert bool(source(data)._told)
    capfd.readouterr()
    assert len(list(DataLoader(Reader32(data), num_workers=2))) == 4
    assert "too small" not in capfd.readouterr().err


def test_every_pattern_of_bad_frames_in_a_copy_as_in_the_originals(
    trees: Any, caplog: pytest.LogCaptureFixture
) -> None:
    names, patterns = [f"{i}.jpg" for i in range(5)], range(32)
    clips = [f"c{pattern}" for pattern in patterns]
    file = listing(trees.root, clips)
    for pattern in patterns:
        trees.clip(file.parent / f"c{pattern}", names)
        for i in range(5):
            if pattern >> i & 1:
                (file.parent / f"c{pattern}" / names[i]).write_bytes(b"")
    pack(file, 16)
    packed, originals = (source(CSVClips(file, "train", packed=packed)) for packed in (True, False))

    def tried(found: ClipFiles, row: int, wanted: np.ndarray) -> tuple[Any, ...]:
        caplog.clear()
        try:
            read: Any = greys(found.read(row, wanted, 16))
        except ItemError as error:
            read = str(error)
        return read, list(caplog.messages), int(found.skipped[row])

    outcomes = set()
    for wanted in (np.arange(5), np.array([4, 0, 0, 2]), np.array([3])):
        for row in range(32):
            outcome = tried(packed, row, wanted)
            assert outcome == tried(originals, row, wanted)
            outcomes.add(type(outcome[0]))
    assert outcomes == {list, str}


def test_in_a_video_only_wanted_frames_stand_in(trees: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = listing(trees.root, ["v.mp4"])
    trees.video(file.parent / "v.mp4", 12)
    pack(file, 16)
    files = source(CSVClips(file, "train"))
    (copy,) = files.packed
    real = copy.frame
    monkeypatch.setattr(copy, "frame", lambda entry, i: None if i in (4, 5) else real(entry, i))
    assert greys(files.read(0, np.array([0, 4, 9]), 16)) == [1, 1, 10]
    assert greys(files.read(0, np.array([0, 5, 9]), 16)) == [1, 10, 10]
    with pytest.raises(ItemError, match=r"2 of 3 wanted frames cannot be read \(frame 5, below"):
        files.read(0, np.array([4, 5, 9]), 16)


def test_damage_of_a_copy_is_no_unreadable_frame(mixed: Path) -> None:
    pack(mixed, 16)
    files = source(CSVClips(mixed, "train"))
    blob = files.packed[0].folder / "frames.bin"
    content = bytearray(blob.read_bytes())
    content[7] ^= 1
    blob.write_bytes(bytes(content))
    with pytest.raises(ItemError, match=r"is damaged at frame 1 of a; `dfer data cache CSVClips .*` mends it"):
        files.read(0, np.arange(20), 16)
    assert files.skipped.tolist() == [0] * 4


def test_a_copy_lies_where_it_is_said_to(mixed: Path, tmp_path: Path) -> None:
    pack(mixed, 16, "--out", str(tmp_path / "out"))
    assert source(CSVClips(mixed, "train")).reads(16) == "originals"
    for path in (tmp_path / "out", str(tmp_path / "out"), tmp_path / "out/listed-clips-16"):
        data = CSVClips(mixed, "train", packed=path)
        assert source(data).reads(16) == "packed, 16 px, JPEG"
        assert data.description["args"]["packed"] == str(path)
    with pytest.raises(InputError, match="holds no packed copy of CSVClips"):
        CSVClips(mixed, "train", packed=tmp_path)


def test_workers_map_a_copy_themselves(mixed: Path) -> None:
    pack(mixed, 32, "--raw")
    data = CSVClips(mixed, "train", transform=EvalTransform(4, 32))
    here = [data[row].clip for row in range(4)]
    assert source(data).packed[0]._blob is not None
    there = DataLoader(data, batch_size=None, num_workers=2, collate_fn=lambda sample: sample.clip)
    assert all(torch.equal(one, other) for one, other in zip(here, there, strict=True))
    assert source(pickle.loads(pickle.dumps(data))).packed[0]._blob is None
