import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.cli import main
from dfer.datasets.csv_clips import CSVClips
from dfer.datasets.dfew import DFEW
from dfer.datasets.packed import command as module
from dfer.datasets.packed.command import _bytes, cache
from dfer.datasets.packed.packed import packed_in
from dfer.datasets.packed.table import FRAMES, TABLE
from dfer.errors import InputError
from dfer.runs import held

FOLDER = ".dfer/packed/Clip-clip_224x224-1-16"


@pytest.fixture
def root(trees: Any) -> Path:
    found: Path = trees.dfew(clips=14)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_packs_and_says_what_it_made(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cache("dfew", root, size=16) == 0
    folder = root / FOLDER
    assert sorted(contents(folder)) == [FRAMES, TABLE]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    out, err = capsys.readouterr()
    size = sum(len(content) for content in contents(folder).values())
    originals = sum(path.stat().st_size for path in root.rglob("*.jpg"))
    assert out == f"{folder}\n14 clips, 42 frames, {_bytes(size)}, {size / originals:.2f} of the originals\n"
    assert err == ""
    assert DFEW(root, "train").source.reads(16) == "packed, 16 px, JPEG"  # type: ignore[attr-defined]


def test_names_frames_that_could_not_be_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for clip in range(1, 8):
        (root / f"Clip/clip_224x224/{clip:05d}/{clip:05d}_00002.jpg").write_bytes(b"no picture")
    for _ in range(2):  # also of a copy that is there
        assert cache("dfew", root, size=16) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        names = ", ".join(f"Clip/clip_224x224/{clip:05d} frame 2" for clip in range(1, 6))
        assert last == f"7 frames could not be read; neighbours stand in: {names}, ..."


def test_names_the_way_out_for_clips_that_cannot_be_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for frame in (root / "Clip/clip_224x224/00001").iterdir():
        frame.write_bytes(b"no picture")
    assert cache("dfew", root, size=16, workers=0) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"1 clips lost half of their frames; leave them out: `dfer data check DFEW {root} --decode`"


def test_a_copy_that_is_whole_is_checked_and_left(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache("dfew", root, size=16)
    before = (root / FOLDER).stat().st_ino
    said = capsys.readouterr().out
    for options in ({}, {"verify": True}):
        assert cache("dfew", root, size=16, **options) == 0  # type: ignore[arg-type]
        assert capsys.readouterr() == (f"whole and up to date\n{said}", "")
    assert (root / FOLDER).stat().st_ino == before


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_verify_says_each_kind_of_damage_and_changes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"`dfer data cache DFEW {root} --size 16 --media frames` mends it"
    cache("dfew", root, size=16)
    flip(root / FOLDER / FRAMES, 5)
    flip(root / FOLDER / FRAMES, -5)
    frame = root / "Clip/clip_224x224/00003/00003_00001.jpg"
    frame.write_bytes(frame.read_bytes() + b"\0")  # in place, which the index does not notice
    bad = contents(root / FOLDER)
    capsys.readouterr()
    assert main(["data", "cache", "dfew", str(root), "--size", "16", "--verify"]) == 3
    changed, damaged = capsys.readouterr().err.splitlines()
    where = f"WRONG {root / FOLDER}: "
    clip = "Clip/clip_224x224/00003"
    assert changed == f"{where}it is out of date, 1 of 14 clips are new or have changed ({clip}); {command}"
    assert damaged == f"{where}2 frames are damaged (first: frame 1 of Clip/clip_224x224/00001); {command}"
    assert contents(root / FOLDER) == bad
    assert cache("dfew", root, size=16) == 0
    err = capsys.readouterr().err.splitlines()
    assert [line.partition(root.name)[0] for line in err] == [f"packing again: {root.parent}/"] * 2
    assert not any("`" in line for line in err)
    assert cache("dfew", root, size=16, verify=True) == 0
    (root / FOLDER / TABLE).write_bytes(b"")
    assert cache("dfew", root, size=16, verify=True) == 3


def test_verify_without_a_copy(root: Path) -> None:
    with pytest.raises(InputError) as caught:
        cache("dfew", root, size=16, verify=True)
    command = f"dfer data cache DFEW {root} --size 16 --media frames"
    assert str(caught.value) == f"there is no packed copy {root / FOLDER}; `{command}` makes it"
    assert caught.value.exit_status == 2
    assert not (root / ".dfer/packed").exists()


def test_only_what_changed_is_decoded_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache("dfew", root, size=16)
    (root / "Clip/clip_224x224/00003/00003_00002.jpg").unlink()
    decoded = []
    real = module.pack.__globals__["read_image"]
    monkeypatch.setitem(module.pack.__globals__, "read_image", lambda data: decoded.append(1) or real(data))
    assert cache("dfew", root, size=16) == 0
    assert len(decoded) == 2
    assert [path.name for path in (root / FOLDER).parent.iterdir()] == ["Clip-clip_224x224-1-16"]
    assert cache("dfew", root, size=16, out=root / "afresh") == 0
    assert contents(root / FOLDER) == contents(root / "afresh" / "Clip-clip_224x224-1-16")


def test_two_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = (root / FOLDER).with_name("Clip-clip_224x224-1-16.partial")
    partial.mkdir(parents=True)
    with held(partial), pytest.raises(InputError, match=rf"^another run writes to {partial}; wait for it"):
        cache("dfew", root, size=16)
    real = module.held

    def slow(folder: Path) -> Any:  # the other one ends between our look and our lock
        folder.rename(root / "elsewhere")
        folder.mkdir()
        return real(folder)

    monkeypatch.setattr(module, "held", slow)
    with pytest.raises(InputError, match=rf"^another process has just made {root / FOLDER}; run the same command"):
        cache("dfew", root, size=16)


def test_a_copy_that_another_has_just_made_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.held

    def late(folder: Path) -> Any:
        (root / FOLDER).mkdir()
        return real(folder)

    monkeypatch.setattr(module, "held", late)
    with pytest.raises(InputError, match=rf"^another process has just made {root / FOLDER}; run the same command"):
        cache("dfew", root, size=16)


def test_raw_pixels_need_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(root)
    needed = 42 * 3 * 16 * 16
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    with pytest.raises(InputError) as caught:
        cache("dfew", root, size=16, raw=True)
    assert str(caught.value) == (
        f"42 frames of raw pixels at 16 px need 32.3 kB in {(root / FOLDER).parent}, where 32.3 kB are free; make "
        "room, give a smaller --size, leave out --raw, or name another disk as --out"
    )
    assert not list((root / FOLDER).parent.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    assert cache("dfew", root, size=16, raw=True) == 0


def test_what_is_packed_already_needs_no_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module.pack
    kept = root / "kept"

    def stop(partial: Path, work: Any, workers: int) -> Any:
        real(partial, work, workers)
        shutil.copytree(partial, kept, dirs_exist_ok=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "pack", stop)
    with pytest.raises(KeyboardInterrupt):
        cache("dfew", root, size=16, raw=True)
    monkeypatch.setattr(module, "pack", real)
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0))
    assert cache("dfew", root, size=16, raw=True) == 0
    assert contents(root / f"{FOLDER}-raw") == {name: (kept / name).read_bytes() for name in (FRAMES, TABLE)}


def test_a_place_that_cannot_be_written_to(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        InputError, match=rf"^cannot write {tmp_path}/file/Clip.*\.partial: Not a directory; mend that, or name"
    ):
        cache("dfew", root, size=16, out=tmp_path / "file")
    shutil.rmtree(root / ".dfer", ignore_errors=True)
    (root / ".dfer").touch()  # as if the root were read-only: the user's cache folder is taken
    assert cache("dfew", root, size=16) == 0
    data = DFEW(root, "train")
    (copy,) = data.source.packed  # type: ignore[attr-defined]
    assert copy.folder.is_relative_to(tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    with pytest.raises(InputError, match=r"^cannot write .*\.partial: "):
        cache("dfew", root, size=16)


def test_a_place_that_may_not_be_looked_into(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    found = DFEW.survey(root)
    monkeypatch.setattr(DFEW, "survey", lambda *given: found)
    monkeypatch.setattr(Path, "is_dir", hidden)
    with pytest.raises(
        InputError, match=rf"^cannot look for a packed copy in {root / FOLDER}: Permission denied; allow"
    ):
        cache("dfew", root, size=16)


def test_killed_between_the_two_names_it_ends_what_it_began(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache("dfew", root, size=16)
    (root / "Clip/clip_224x224/00003/00003_00002.jpg").unlink()
    real = Path.replace

    def killed(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            cache("dfew", root, size=16)
    assert not (root / FOLDER).exists()
    assert DFEW(root, "train").source.reads(16) == "originals"  # type: ignore[attr-defined]
    assert cache("dfew", root, size=16) == 0
    assert [path.name for path in (root / FOLDER).parent.iterdir()] == ["Clip-clip_224x224-1-16"]
    assert cache("dfew", root, size=16, verify=True) == 0


def test_a_copy_stays_where_it_is(root: Path, tmp_path: Path) -> None:
    cache("dfew", root, size=16)
    (beside, apart) = packed_in(DFEW.survey(root).index)
    apart.parent.mkdir(parents=True, exist_ok=True)
    beside.rename(apart)
    (root / "Clip/clip_224x224/00003/00003_00002.jpg").unlink()
    assert cache("dfew", root, size=16) == 0
    assert not (beside / "Clip-clip_224x224-1-16").exists()
    assert DFEW(root, "train").source.packed[0].folder.parent == apart  # type: ignore[attr-defined]


def test_a_copy_beside_data_that_cannot_be_written_to(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache("dfew", root, size=16)
    before = contents(root / FOLDER)
    beside, apart = packed_in(DFEW.survey(root).index)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != beside and real(path, mode))
    for verify in (True, False):
        assert cache("dfew", root, size=16, verify=verify) == 0
    assert capsys.readouterr().out.count("whole and up to date") == 2
    assert not apart.exists()
    (root / "Clip/clip_224x224/00003/00003_00002.jpg").unlink()
    for said in ("packing again", "whole and up to date"):
        capsys.readouterr()
        assert cache("dfew", root, size=16) == 0
        assert said in "".join(capsys.readouterr())
    assert DFEW(root, "test").source.packed[0].folder.parent == apart  # type: ignore[attr-defined]
    assert contents(root / FOLDER) == before


def test_kinds_of_media_have_a_copy_each(root: Path, trees: Any) -> None:
    for i in range(1, 15):
        trees.clip(root / f"Clip/clip_224x224_16f/{i:05d}", [f"{n}.jpg" for n in range(1, 17)])
    assert cache("dfew", root, size=16, media="frames16") == 0
    assert DFEW(root, "train").source.reads(16) == "originals"  # type: ignore[attr-defined]
    data = DFEW(root, "train", media="frames16")
    assert data.source.reads(16) == "packed, 16 px, JPEG"  # type: ignore[attr-defined]
    (root / "Clip/clip_224x224_16f/00001/1.jpg").unlink()
    with pytest.raises(InputError) as caught:
        DFEW(root, "train", media="frames16"), DFEW(root, "test", media="frames16")
    command = str(caught.value).split("`")[1]
    assert command == f"dfer data cache DFEW {root} --size 16 --media frames16"
    assert main(shlex.split(command)[1:]) == 0
    DFEW(root, "train", media="frames16")


def test_a_csv_file(trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = trees.csv("clip,label,split\na,sad,train\nb,happy,test\nc,sad,train\n")
    assert cache("csv", file, size=16) == 0
    assert "3 clips, 6 frames" in capsys.readouterr().out
    assert CSVClips(file, "train").source.reads(16) == "packed, 16 px, JPEG"  # type: ignore[attr-defined]


def test_clips_that_no_set_names_are_left_out(root: Path, trees: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trees.clip(root / "Clip/clip_224x224/00099", ["1.jpg"])
    shutil.rmtree(root / "Clip/clip_224x224/00003")
    assert cache("dfew", root, size=16) == 0
    assert "13 clips, 39 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dfew", "ROOT", "--size", "7"], "cannot pack with size 7, workers None; give at least 8 pixels"),
        (
            ["dfew", "ROOT", "--workers", "-1"],
            "cannot pack with size 128, workers -1; give at least 8 pixels, workers 0",
        ),
        (["dfew", "ROOT", "--media", "mp3"], "DFEW has no media 'mp3'; choose one of"),
        (["folder", "ROOT", "--media", "video"], "FolderClips has one kind of files; leave out --media video"),
        (["nothing", "ROOT"], "there is no data set 'nothing'"),
        (["dfew", "ROOT/none"], "ROOT/none does not exist"),
        (["synthetic", "ROOT"], "did you mean SyntheticFaces?"),
        (["SyntheticFaces", "ROOT"], "SyntheticFaces has no files"),
    ],
)
def test_what_cannot_be_packed(
    root: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "cache", *(one.replace("ROOT", str(root)) for one in arguments)]) == 2
    err = capsys.readouterr().err
    assert words in err.replace(str(root), "ROOT")
    assert err.count("\n") == 1


def test_a_root_without_a_listed_clip(root: Path) -> None:
    shutil.rmtree(root / "Clip/clip_224x224")
    (root / "Clip/clip_224x224").mkdir()
    with pytest.raises(InputError, match="lists no clip that is on disk; `dfer data check DFEW "):
        cache("dfew", root)


SLOW = """
import sys, time
from dfer.datasets.packed import packing
real = packing.Packing.__getitem__
def slow(self, n):
    time.sleep(0.3)
    return real(self, n)
packing.Packing.__getitem__ = slow
from dfer.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_stopped_the_same_command_goes_on(
    root: Path, sign: int, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["data", "cache", "dfew", str(root), "--size", "16"]
    # A process group of its own, all of which gets the signal, as from a terminal.
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *options, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    journal = root / f"{FOLDER}.partial" / "journal.jsonl"
    limit = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, sign)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == ""
    if sign == signal.SIGINT:
        assert err.startswith("dfer: stopped: ")
        assert err.endswith(" of 14 clips are packed, and the same command goes on from there\n")
        assert err.count("\n") == 1
    assert not (root / FOLDER).exists()
    assert main(options) == 0
    assert " of 14 clips are packed already" in capsys.readouterr().err
    assert cache("dfew", root, size=16, out=tmp_path / "whole") == 0
    assert contents(root / FOLDER) == contents(tmp_path / "whole" / "Clip-clip_224x224-1-16")


def test_killed_alone_its_workers_end_and_let_go_of_the_folder(root: Path) -> None:
    # Clips larger than a pipe holds: a worker that cannot hand one over would wait for ever, and keep the lock.
    options = ["data", "cache", "dfew", str(root), "--size", "128", "--raw"]
    command = [sys.executable, "-c", SLOW, *options, "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    partial = root / ".dfer/packed/Clip-clip_224x224-1-128-raw.partial"
    limit = time.monotonic() + 60
    while not (partial / "journal.jsonl").exists() or (partial / "journal.jsonl").read_bytes().count(b"\n") < 2:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # both workers have a clip to hand over
    process.kill()
    process.wait()
    limit = time.monotonic() + 20
    while True:
        try:
            with held(partial):
                break
        except InputError:
            assert time.monotonic() < limit
            time.sleep(0.1)
    assert main(options) == 0


def test_sizes_in_words() -> None:
    assert [_bytes(n) for n in (0, 999, 12_345, 5e6, 7.25e9, 3.2e12)] == [
        *("0 bytes", "999 bytes", "12.3 kB", "5 MB", "7.2 GB", "3200.0 GB"),
    ]


def test_many_clips_are_shared_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ALONE", 10)
    real, seen = module.pack, []
    monkeypatch.setattr(module, "pack", lambda *a: seen.append(a[2]) or real(*a))
    assert cache("dfew", root, size=16) == 0
    assert cache("dfew", root, size=16, raw=True, workers=0) == 0
    assert seen == [module._cores(), 0]
    assert contents(root / FOLDER)


def test_a_picture_larger_than_the_copy_takes_less_disk(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for path in (root / "Clip").rglob("*.jpg"):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)).save(path, quality=90)
    assert cache("dfew", root, size=32) == 0
    share = float(capsys.readouterr().out.split()[-4])
    assert 0.1 < share < 0.6
