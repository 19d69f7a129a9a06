import os
import pickle
import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfer.cli import main
from dfer.datasets.folder import FolderClips
from dfer.datasets.index import ClipIndex
from dfer.datasets.packed import table as packed_table
from dfer.datasets.packed.packed import Packed, find_packed, packed_in, packed_name
from dfer.datasets.packed.table import FRAMES, TABLE, read_table
from dfer.errors import InputError, ItemError
from dfer.video.encode import write_video


def write(folder: Path, name: str, number: int) -> None:
    """A grey frame; a text in it makes its bytes the frame's own."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.full((24, 24, 3), 10 * number, np.uint8))
    picture.save(folder / name, comment=f"{'*' * number}{folder.name}", quality=90)


def make(root: Path) -> Path:
    for label, base in (("happy", 1), ("sad", 10)):
        for clip in range(3):
            for frame in range(2):
                write(root / label / f"{label} {clip}", f"{frame}.jpg", base + 2 * clip + frame)
    return root


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make(tmp_path / "my data")


def index_of(root: Path) -> ClipIndex:
    return FolderClips.survey(root).index


def cache(root: Path, *options: str) -> Path:
    assert main(["data", "cache", "folder", str(root), "--size", "16", *options]) == 0
    raw = "--raw" in options
    place = Path(options[options.index("--out") + 1]) if "--out" in options else packed_in(index_of(root))[0]
    return place / packed_name(index_of(root), 16, raw)


def refusal(root: Path, packed: bool | Path = True) -> str:
    """What a data set says of its packed copies; the command in it must mend that."""
    with pytest.raises(InputError) as caught:
        FolderClips(root, "train", packed=packed)
    said = str(caught.value)
    assert "\n" not in said
    command = said.split("`")[1]
    assert main(shlex.split(command)[1:]) == 0, command
    for split in ("train", "test"):
        assert FolderClips(root, split, packed=packed).source.reads(16) != "originals"  # type: ignore[attr-defined]
    return said.replace(str(root), "ROOT")


HERE = "the packed copy ROOT/.dfer/packed/clips-2-16 cannot be used: "
COMMAND = "`dfer data cache FolderClips 'ROOT' --size 16`"
AGAIN = f"{COMMAND} packs it again"


def replace_table(folder: Path, **changes: object) -> None:
    table = read_table(folder / TABLE)
    (folder / TABLE).write_bytes(replace(table, about=replace(table.about, **changes)).to_bytes())


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 4
    path.write_bytes(bytes(content))


def cut(path: Path, by: int = 1) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


DAMAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: flip(f / TABLE, -5), "its table.safetensors is damaged or cut short"),
    (lambda f: cut(f / TABLE), "its table.safetensors is damaged or cut short"),
    (lambda f: (f / TABLE).write_bytes(b""), "its table.safetensors is damaged or cut short"),
    (lambda f: (f / TABLE).unlink(), "No such file or directory (table.safetensors)"),
    (lambda f: (f / FRAMES).unlink(), "No such file or directory (frames.bin)"),
    (lambda f: [(f / FRAMES).unlink(), (f / TABLE).unlink()], "No such file or directory (table.safetensors)"),
    (lambda f: cut(f / FRAMES, 7), "its frames.bin is cut short, "),
    (lambda f: lengthen(f / FRAMES), "its frames.bin is too long, "),
    (lambda f: replace_table(f, size=24), "it holds JPEG at 24 px, not JPEG at 16 px as its name says"),
    (lambda f: replace_table(f, raw=True), "it holds raw pixels at 16 px, not JPEG at 16 px as its name says"),
    (lambda f: replace_table(f, name="DFEW", place="/d"), "it is of other data, DFEW in /d"),
    (lambda f: replace_table(f, index="clips-3"), "it is of other data, FolderClips in ROOT"),
]


@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=range(len(DAMAGES)))
def test_a_copy_that_is_not_what_it_should_be_is_refused(
    root: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(cache(root))
    said = refusal(root)
    assert said.startswith(HERE + words)
    assert said.endswith(AGAIN)


def test_an_older_format_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_table, "FORMAT", "0")
    cache(root)
    monkeypatch.undo()
    assert refusal(root) == f"{HERE}its table.safetensors is of format 0, not 1; {AGAIN}"


def test_a_copy_of_other_data_is_refused(root: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other")
    for path in other.rglob("*.jpg"):
        path.write_bytes(path.read_bytes() + b"\0")
    shutil.copytree(cache(other), packed_in(index_of(root))[0] / "clips-2-16")
    words = (
        f"it is of other data, FolderClips in {other}, none of whose clips is the same; {COMMAND} brings it up to date"
    )
    assert refusal(root) == f"{HERE}{words}, packed=False reads the originals"


def test_a_folder_of_another_name_is_what_its_table_says(root: Path, tmp_path: Path) -> None:
    folder = cache(root, "--out", str(tmp_path / "out")).rename(tmp_path / "faces")
    data = FolderClips(root, "train", packed=folder)
    assert data.source.reads(16) == "packed, 16 px, JPEG"  # type: ignore[attr-defined]


def add_frame(root: Path) -> None:
    write(root / "sad/sad 1", "7.jpg", 3)


def remove_frame(root: Path) -> None:
    (root / "sad/sad 1/1.jpg").unlink()


def rename_frame(root: Path) -> None:
    (root / "sad/sad 1/1.jpg").rename(root / "sad/sad 1/2.jpg")


def replace_frame(root: Path) -> None:
    write(root / "sad/sad 1", "x", 20)
    (root / "sad/sad 1/x").replace(root / "sad/sad 1/1.jpg")


def add_clip(root: Path) -> None:
    write(root / "sad/sad 1b", "1.jpg", 20)


@pytest.mark.parametrize("change", [add_frame, remove_frame, rename_frame, replace_frame, add_clip])
def test_a_copy_that_is_older_than_the_data_is_refused(root: Path, change: Callable[[Path], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if change is replace_frame:  # of its bytes; Pillow cannot guess the format of x
            patch.setattr(Image.Image, "save", _save_jpeg)
        cache(root)
        change(root)
        with pytest.raises(InputError) as caught:
            FolderClips(root, "train"), FolderClips(root, "test")
    words = str(caught.value)
    assert "it is out of date, 1 of " in words
    assert f"(sad/sad 1{'b' if change is add_clip else ''}); `dfer data cache FolderClips" in words
    assert words.endswith("packed=False reads the originals")
    cache(root)
    index = index_of(root)
    find_packed(index, range(len(index.clips)), f"FolderClips {root}")


_real_save = Image.Image.save


def _save_jpeg(self: Image.Image, path: Path, **more: object) -> None:
    _real_save(self, path, "JPEG", **more)


def uncompressed(root: Path, seed: int) -> Path:
    """Clips whose files are all of one size, whatever they show."""
    rng = np.random.default_rng(seed)
    for clip in ("happy/1", "happy/2", "sad/1", "sad/2"):
        (root / clip).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(root / clip / "1.bmp")
    return root


def test_a_frame_of_as_many_bytes_is_another_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, other = uncompressed(tmp_path / "one", 1), uncompressed(tmp_path / "other", 2)
    cache(root)
    shutil.copytree(root / ".dfer/packed", other / ".dfer/packed")
    assert "it is of other data, FolderClips in" in refusal(other)
    shutil.copyfile(root / "sad/1/1.bmp", root / "happy/2/new")
    (root / "happy/2/new").replace(root / "happy/2/1.bmp")
    assert "1 of 4 clips are new or have changed (happy/2)" in _all_refused(root)


def _all_refused(root: Path) -> str:
    index = index_of(root)
    with pytest.raises(InputError) as caught:
        find_packed(index, range(len(index.clips)), f"FolderClips {root}")
    return str(caught.value)


def test_only_the_clips_asked_for_must_be_current(root: Path) -> None:
    cache(root)
    add_frame(root)
    index = index_of(root)
    what = f"FolderClips {root}"
    changed = index.clips.index("sad/sad 1")
    others = [entry for entry in range(len(index.clips)) if entry != changed]
    assert len(find_packed(index, others, what)) == 1
    with pytest.raises(InputError, match="1 of 1 clips are new or have changed"):
        find_packed(index, [changed], what)


def test_a_clip_of_another_length_and_a_double_of_one_are_not_in_the_copy(root: Path) -> None:
    folder, what = cache(root), f"FolderClips {root}"
    index = index_of(root)
    longer = replace(
        index, counts=index.counts + np.eye(len(index.clips), dtype=np.int32)[2]
    )  # as told anew of a video
    assert Packed.open(folder, longer, what).changed(range(len(index.clips))) == [2]
    last = index.clips[-1]
    shutil.copytree(root / last, root / f"{last}b")
    more = index_of(root)
    assert Packed.open(folder, more, what).changed(range(len(more.clips))) == [more.clips.index(f"{last}b")]


def test_a_video_written_anew_is_refused(root: Path) -> None:
    path = root / "sad/v.mp4"
    write_video(path, [np.full((32, 32, 3), 9 * i, np.uint8) for i in range(5)])
    cache(root)
    index = index_of(root)
    entry = index.clips.index("sad/v.mp4")
    os.utime(path, ns=(1, 1))
    index = index_of(root)
    assert len(find_packed(index, [entry], f"FolderClips {root}")) == 1  # another time alone is no other video
    write_video(path, [np.full((32, 32, 3), 200 - 9 * i, np.uint8) for i in range(5)])
    with path.open("ab") as file:
        file.write(b"\0" * 8)
    with pytest.raises(InputError, match=r"1 of 1 clips .*\(sad/v.mp4\)"):
        find_packed(index_of(root), [entry], f"FolderClips {root}")


def test_data_copied_with_other_times_keep_their_copy(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache(root)
    moved = tmp_path / "moved"
    shutil.copytree(root, moved, copy_function=shutil.copyfile)
    for clip in moved.glob("*/*"):
        os.utime(clip, ns=(5, 5))
    shutil.rmtree(root)
    data = FolderClips(moved, "train")
    assert data.source.reads(16) == "packed, 16 px, JPEG"  # type: ignore[attr-defined]
    assert caplog.messages == []
    monkeypatch.setattr("dfer.datasets.packed.packed._MANY", 4)
    FolderClips(moved, "train")
    assert "4 clips of" in caplog.text
    assert "have other times than when they were packed" in caplog.text
    command = caplog.messages[0].split("`")[1]
    caplog.clear()
    assert main(shlex.split(command)[1:]) == 0
    FolderClips(moved, "train")
    assert caplog.messages == []


def test_a_flipped_byte_is_noticed_at_its_frame(root: Path, tmp_path: Path) -> None:
    for raw in (False, True):
        folder = cache(root, *["--raw"] * raw)
        flip(folder / FRAMES, -9)
        index = index_of(root)
        copy = Packed.open(folder, index, f"FolderClips {root}")
        last = len(index.clips) - 1
        assert copy.frame(last, 0) is not None
        for _ in range(2):
            with pytest.raises(ItemError) as caught:
                copy.frame(last, 1)
        command = f"dfer data cache FolderClips '{root}' --size 16{' --raw' * raw}"
        said = f"the packed copy {folder} is damaged at frame 2 of sad/sad 2; `{command}` mends it"
        assert str(caught.value) == said
        assert copy.damaged(last) == [1]
        assert main(shlex.split(command)[1:]) == 0
        assert Packed.open(folder, index, f"FolderClips {root}").frame(last, 1) is not None


def test_a_copy_replaced_while_in_use_is_noticed(root: Path) -> None:
    folder = cache(root)
    copy = Packed.open(folder, index_of(root), f"FolderClips {root}")
    mapped = Packed.open(folder, index_of(root), f"FolderClips {root}")
    mapped.frame(0, 0)
    add_frame(root)
    cache(root)
    with pytest.raises(ItemError, match="was replaced while it was in use; start again"):
        copy.frame(0, 0)
    assert mapped.frame(1, 0) is not None


def test_pickling_opens_and_copies_no_map(root: Path) -> None:
    copy = Packed.open(cache(root, "--raw"), index_of(root), f"FolderClips {root}")
    frame = copy.frame(0, 1)
    again = pickle.loads(pickle.dumps(copy))
    assert again._blob is None
    np.testing.assert_array_equal(again.frame(0, 1), frame)
    assert copy._blob is not None


def test_copies_are_found_smallest_first_and_raw_before_jpeg(root: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for size in (16, 8):
        for more in ([], ["--raw"]):
            assert main(["data", "cache", "folder", str(root), "--size", str(size), *more]) == 0
    assert main(["data", "cache", "folder", str(root), "--size", "32", "--out", out]) == 0
    index = index_of(root)
    what = f"FolderClips {root}"
    (packed_in(index)[0] / "clips-2-16.partial").mkdir()
    (packed_in(index)[0] / "clips-20-16").mkdir()

    def sizes(packed: bool | Path | str) -> list[tuple[int, bool]]:
        return [(copy.size, copy.raw) for copy in find_packed(index, range(len(index.clips)), what, packed)]

    assert sizes(True) == [(8, True), (8, False), (16, True), (16, False)]
    assert sizes(False) == []
    assert sizes(out) == [(32, False)]
    assert sizes(tmp_path / "out" / "clips-2-32") == [(32, False)]
    assert sizes(packed_in(index)[0] / "clips-2-8-raw") == [(8, True)]


def test_of_two_places_the_one_that_can_be_used_is_taken(root: Path) -> None:
    index, what = index_of(root), f"FolderClips {root}"
    beside, apart = packed_in(index)
    shutil.copytree(cache(root), apart / "clips-2-16")
    for bad, good in ((beside, apart), (apart, beside)):
        kept = (bad / "clips-2-16" / TABLE).read_bytes()
        (bad / "clips-2-16" / TABLE).write_bytes(b"")
        assert [copy.folder.parent for copy in find_packed(index, [0], what)] == [good]
        (bad / "clips-2-16" / TABLE).write_bytes(kept)
    for place in (beside, apart):
        (place / "clips-2-16" / TABLE).write_bytes(b"")
    with pytest.raises(InputError, match=str(beside)):
        find_packed(index, [0], what)


def test_a_path_must_hold_a_copy(root: Path, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    for name in ("some", "none", "none/clips-2-16"):
        said = refusal(root, tmp_path / name)
        if name == "none/clips-2-16":
            assert said.startswith(f"the packed copy {tmp_path / name} cannot be used: No such file or directory")
        else:
            words = f"{tmp_path / name} holds no packed copy of FolderClips ROOT (clips-2-SIZE); `dfer data cache "
            assert said == f"{words}FolderClips 'ROOT' --out {tmp_path / name}` makes one"
            shutil.rmtree(tmp_path / name)


def test_a_folder_that_may_not_be_read_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache(root)
    real = Path.read_bytes

    def closed(path: Path) -> bytes:
        if path.name == TABLE:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", closed)
        with pytest.raises(
            InputError, match=rf"^the packed copy {folder} .*: Permission denied \(table.safetensors\); `"
        ):
            FolderClips(root, "train")

    def hidden(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    index = index_of(root)
    monkeypatch.setattr(Path, "iterdir", hidden)
    with pytest.raises(InputError, match=r"cannot look for packed copies in .*: Permission denied; allow it"):
        find_packed(index, [0], f"FolderClips {root}")
