import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image

from dfer.datasets.index import ClipIndex, index_listed
from dfer.datasets.packed import packing
from dfer.datasets.packed.packed import Packed
from dfer.datasets.packed.packing import JOURNAL, Packing, pack
from dfer.datasets.packed.table import FRAMES, TABLE, About
from dfer.errors import InputError
from dfer.transforms.spatial import resize
from dfer.video.decode import read_frames
from dfer.video.encode import write_video


def picture(number: int, size: int = 40) -> np.ndarray:
    """Smooth colours with a little grain, as of a photograph."""
    rng = np.random.default_rng(number)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def tree(root: Path, clips: int = 4, frames: int = 5, size: int = 40, suffix: str = "png") -> ClipIndex:
    for c in range(clips):
        folder = root / f"c{c}"
        folder.mkdir(parents=True, exist_ok=True)
        for f in range(frames):
            Image.fromarray(picture(100 * c + f, size)).save(folder / f"{f}.{suffix}", quality=92, subsampling=2)
    return index_listed(root, "x", [f"c{c}" for c in range(clips)])


def work(index: ClipIndex, size: int = 32, raw: bool = False, **more: Any) -> Packing:
    about = About("it", str(index.root), index.name, "", size, raw, "" if raw else "q")
    return Packing(index, range(len(index.clips)), about, **more)


def packed(folder: Path, job: Packing, workers: int = 0) -> Packed:
    folder.mkdir(exist_ok=True)
    pack(folder, job, workers)
    return Packed.open(folder, job.index, f"it {job.index.root}")


def contents(folder: Path) -> tuple[bytes, bytes]:
    return (folder / FRAMES).read_bytes(), (folder / TABLE).read_bytes()


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_jpeg_is_the_resized_frame_within_a_few_levels(tmp_path: Path) -> None:
    index = tree(tmp_path / "data", size=96)
    copy = packed(tmp_path / "p", work(index, 64))
    for c in range(4):
        for f in range(5):
            frame = copy.frame(c, f)
            assert frame is not None
            assert frame.shape == (64, 64, 3)
            wanted = resize([picture(100 * c + f, 96)], 64)[0].permute(1, 2, 0).numpy()
            assert 0 < np.abs(frame.astype(int) - wanted).mean() < 3


def test_raw_is_the_resized_frame_in_planes(tmp_path: Path) -> None:
    index = tree(tmp_path / "data")
    copy = packed(tmp_path / "p", work(index, 32, raw=True))
    frame = copy.frame(2, 3)
    assert frame is not None
    np.testing.assert_array_equal(frame, resize([picture(203)], 32)[0].permute(1, 2, 0).numpy())
    assert frame.strides == (32, 1, 32 * 32)
    assert not frame.flags.owndata
    assert (tmp_path / "p" / FRAMES).stat().st_size == 20 * 32 * 32 * 3


def test_small_plain_jpeg_is_kept_as_it_is_and_other_files_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "data/c0"
    folder.mkdir(parents=True)
    Image.fromarray(picture(0, 24)).save(folder / "0.jpg", quality=90)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(picture(1, 24)).save(folder / "1.jpg", quality=90, exif=turned)
    Image.fromarray(picture(2, 24)).convert("CMYK").save(folder / "2.jpg", quality=90)
    Image.fromarray(picture(3, 24)).save(folder / "3.png")
    Image.fromarray(picture(4, 48)).save(folder / "4.jpg", quality=90)
    Image.fromarray(np.ascontiguousarray(picture(5, 48)[:16])).save(folder / "5.jpg", quality=90)
    index = index_listed(tmp_path / "data", "x", ["c0"])
    copy = packed(tmp_path / "p", work(index, 32))
    blob = (tmp_path / "p" / FRAMES).read_bytes()
    kept = [(folder / f"{i}.{'png' if i == 3 else 'jpg'}").read_bytes() in blob for i in range(6)]
    assert kept == [True, False, False, False, False, False]
    frames = [copy.frame(0, i) for i in range(6)]
    assert [frame.shape for frame in frames if frame is not None] == [*[(24, 24, 3)] * 4, *[(32, 32, 3)] * 2]
    upright = np.rot90(picture(1, 24), -1).astype(int)
    assert frames[1] is not None
    assert np.abs(frames[1] - upright).mean() < 12


def test_bytes_depend_on_neither_workers_nor_where_it_was_stopped(tmp_path: Path) -> None:
    index = tree(tmp_path / "data")
    for raw in (False, True):
        job = work(index, raw=raw)
        packed(tmp_path / f"a{raw}", job)
        packed(tmp_path / f"b{raw}", job, workers=2)
        assert contents(tmp_path / f"a{raw}") == contents(tmp_path / f"b{raw}")


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_packing import work
from dfer.datasets.packed import packing
from dfer.datasets.index import index_listed
real = packing.Packing.__getitem__
def slow(self, n):
    time.sleep(0.15)
    return real(self, n)
packing.Packing.__getitem__ = slow
index = index_listed(Path({data!r}), "x", [f"c{{c}}" for c in range({clips})])
print("begun", flush=True)
packing.pack(Path({partial!r}), work(index), {workers})
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_it_goes_on_and_decodes_nothing_twice(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, partial, clips = tmp_path / "data", tmp_path / "p", 12
    index = tree(data, clips=clips)
    packed(tmp_path / "whole", work(index))
    partial.mkdir()
    here = str(Path(__file__).parent)
    code = KILLED.format(here=here, data=str(data), partial=str(partial), clips=clips, workers=workers)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    journal = partial / JOURNAL
    limit = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:  # a header and three clips
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = journal.read_bytes().count(b"\n") - 1
    assert 3 <= done < clips
    decoded = []
    real = packing.read_image
    monkeypatch.setattr(packing, "read_image", lambda data: decoded.append(1) or real(data))  # type: ignore[func-returns-value]
    packed(partial, work(index))
    assert contents(partial) == contents(tmp_path / "whole")
    assert len(decoded) == 5 * (clips - done)
    assert f"{done} of {clips} clips are packed already" in capsys.readouterr().err


def stopped(partial: Path, job: Packing, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack so many clips, then be interrupted."""
    real = Packing.__getitem__

    def until(self: Packing, n: int) -> Any:
        if n >= after:
            raise KeyboardInterrupt
        return real(self, n)

    partial.mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(Packing, "__getitem__", until)
        with pytest.raises(KeyboardInterrupt, match=f"^stopped: {after} of 4 clips are packed, and the same command"):
            pack(partial, job, 0)


def cut_blob(partial: Path) -> None:
    with (partial / FRAMES).open("r+b") as blob:
        blob.truncate((partial / FRAMES).stat().st_size - 1)


def lose_bytes(partial: Path) -> None:
    """As a power cut may."""
    content = (partial / FRAMES).read_bytes()
    (partial / FRAMES).write_bytes(content[:-100] + bytes(100))


def half_a_line(partial: Path) -> None:
    content = (partial / JOURNAL).read_bytes()
    (partial / JOURNAL).write_bytes(content[:-9])


def more_than_the_journal_says(partial: Path) -> None:
    with (partial / FRAMES).open("ab") as blob:
        blob.write(b"half a clip")


def rubbish(partial: Path) -> None:
    with (partial / JOURNAL).open("ab") as journal:
        journal.write(b"\xff\xfe[1]\n{}\n[[1],[2],3,4]\n")


@pytest.mark.parametrize(
    ("damage", "kept"),
    [(cut_blob, 1), (lose_bytes, 1), (half_a_line, 1), (more_than_the_journal_says, 2), (rubbish, 2)],
)
def test_what_is_not_whole_is_packed_again(
    tmp_path: Path, damage: Any, kept: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job, partial = work(tree(tmp_path / "data")), tmp_path / "p"
    packed(tmp_path / "whole", job)
    stopped(partial, job, 2, monkeypatch)
    damage(partial)
    packed(partial, job)
    assert contents(partial) == contents(tmp_path / "whole")
    assert f"{kept} of 4 clips" in capsys.readouterr().err


def test_other_work_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = tree(tmp_path / "data")
    job, partial = work(index), tmp_path / "p"
    fewer = Packing(index, [0, 1, 3], job.about)
    others = [
        work(index, 24),
        work(index, raw=True),
        fewer,
        Packing(index, job.entries, replace(job.about, quality="z")),
    ]
    os.utime(tmp_path / "data/c2")
    others.append(work(index_listed(tmp_path / "data", "x", index.clips)))
    assert len({other.key() for other in [job, *others]}) == 6
    for number, other in enumerate(others):
        stopped(partial, job, 2, monkeypatch)
        packed(tmp_path / f"whole{number}", other)
        capsys.readouterr()
        packed(partial, other)
        assert contents(partial) == contents(tmp_path / f"whole{number}")
        assert "packed already" not in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_what_was_packed_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job, partial = work(tree(tmp_path / "data"), raw=True), tmp_path / "p"
    packed(tmp_path / "whole", job)
    partial.mkdir()
    room = 2 * 5 * 32 * 32 * 3 + 100  # two clips and a bit
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(InputError) as caught:
            pack(partial, job, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value) == (
        f"cannot write {partial}: File too large; 2 of 4 clips are packed, and the same command goes on from there"
    )
    packed(partial, job)
    assert "2 of 4 clips are packed already" in capsys.readouterr().err
    assert contents(partial) == contents(tmp_path / "whole")


def test_a_file_that_may_not_be_read_stops_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = work(tree(tmp_path / "data"))
    bad, real = tmp_path / "data/c1/3.png", Path.read_bytes

    def read(path: Path) -> bytes:
        if path == bad:
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    (tmp_path / "p").mkdir()
    for workers in (0, 1):
        with pytest.raises(InputError) as caught:
            pack(tmp_path / "p", job, workers)
        assert str(caught.value) == (
            f"cannot read {bad}: Permission denied; allow it; 1 of 4 clips are packed, and the same command goes on "
            "from there"
        )


def test_a_worker_that_dies_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = work(tree(tmp_path / "data"))
    monkeypatch.setattr(Packing, "__getitem__", lambda self, n: os._exit(1))
    (tmp_path / "p").mkdir()
    with pytest.raises(InputError, match=r"a process that decodes was ended .*; 0 of 4 clips are packed"):
        pack(tmp_path / "p", job, 1)


def test_a_fault_of_our_own_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Packing, n: int) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Packing, "__getitem__", fail)
    (tmp_path / "p").mkdir()
    with pytest.raises(RuntimeError, match=r"^a fault$"):
        pack(tmp_path / "p", work(tree(tmp_path / "data")), 0)


def test_unreadable_frames_take_no_bytes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tree(data)
    (data / "c1/2.png").write_bytes(b"")
    (data / "c1/3.png").write_bytes((data / "c1/3.png").read_bytes()[:200])
    (data / "c1/4.png").unlink()
    (data / "c1/4.png").symlink_to("nowhere")
    index = index_listed(data, "x", ["c0", "c1"])
    for raw in (False, True):
        copy = packed(tmp_path / f"p{raw}", work(index, raw=raw))
        assert [copy.frame(1, i) is None for i in range(5)] == [False, False, True, True, True]
        assert copy.damaged(1) == []


def test_a_copy_without_a_readable_frame(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tree(data, clips=1, frames=2)
    for i in range(2):
        (data / f"c0/{i}.png").write_bytes(b"no picture")
    copy = packed(tmp_path / "p", work(index_listed(data, "x", ["c0"])))
    assert [copy.frame(0, i) for i in range(2)] == [None, None]


def test_clips_that_have_not_changed_come_from_the_old_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    index = tree(data)
    old = packed(tmp_path / "old", work(index))
    (data / "c1/1.png").write_bytes(b"")
    Image.fromarray(picture(9)).save(data / "c2/5.png")
    with (tmp_path / "old" / FRAMES).open("r+b") as blob:  # c3 is damaged in the old copy
        blob.seek(-3, os.SEEK_END)
        blob.write(b"\0\0\0")
    index = index_listed(data, "y", index.clips)
    decoded: list[int] = []
    real = packing.read_image
    monkeypatch.setattr(packing, "read_image", lambda data: decoded.append(1) or real(data))  # type: ignore[func-returns-value]
    packed(tmp_path / "new", work(index, old=old))
    assert len(decoded) == 5 + 6 + 5
    packed(tmp_path / "afresh", work(index))
    assert contents(tmp_path / "new") == contents(tmp_path / "afresh")
    decoded.clear()
    whole = packed(tmp_path / "new", work(index))
    decoded.clear()
    other = Packing(index, range(4), replace(work(index).about, quality="z"), whole)
    packed(tmp_path / "other", other)
    assert len(decoded) == 21
    decoded.clear()
    packed(tmp_path / "again", work(index, old=whole))
    assert len(decoded) == 5  # c1, whose unreadable frame may have been mended


def test_all_frames_of_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data/v.mp4"
    path.parent.mkdir()
    write_video(path, [picture(n, 32) for n in range(50)])
    index = index_listed(path.parent, "x", ["v.mp4"])
    exact = read_frames(path, np.arange(50))
    for most in (packing._AT_ONCE, 7 * 32 * 32 * 3):
        monkeypatch.setattr(packing, "_AT_ONCE", most)
        copy = packed(tmp_path / f"p{most}", work(index, 32, raw=True))
        for i in range(50):
            np.testing.assert_array_equal(copy.frame(0, i), exact[i])
    originals = copy.table.about.originals
    assert originals == path.stat().st_size


def is_readable(video: Path, i: int) -> bool:
    try:
        return bool(read_frames(video, np.array([i])))
    except InputError:
        return False


def test_frames_of_a_video_that_cannot_be_decoded_are_none(tmp_path: Path) -> None:
    """As the file itself gives them: another frame would stand in."""
    path = tmp_path / "data/v.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "10", "bf": "0", "x264-params": "scenecut=0"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for n in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(n, 32), format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for at, size in packets[10:14]:
        content[at : at + size] = bytes(size)
    path.write_bytes(bytes(content))
    lost = [i for i in range(40) if not is_readable(path, i)]
    assert set(range(10, 14)) <= set(lost) <= set(range(10, 20))
    copy = packed(tmp_path / "p", work(index_listed(path.parent, "x", ["v.mp4"]), 32, raw=True))
    assert [i for i in range(40) if copy.frame(0, i) is None] == lost
    kept = [i for i in range(40) if i not in lost]
    for i, exact in zip(kept, read_frames(path, np.array(kept))):
        np.testing.assert_array_equal(copy.frame(0, i), exact)


def test_the_journal_holds_a_line_a_clip(tmp_path: Path) -> None:
    packed(tmp_path / "p", work(tree(tmp_path / "data")))
    header, *lines = (tmp_path / "p" / JOURNAL).read_text().splitlines()
    assert list(json.loads(header)) == ["work"]
    assert [len(json.loads(line)[0]) for line in lines] == [5] * 4
    assert simplejpeg.is_jpeg((tmp_path / "p" / FRAMES).read_bytes()[: json.loads(lines[0])[0][0]])
