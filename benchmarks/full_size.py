"""A DFEW tree of full size, 11,697 clips and some 900,000 frames: indexed, checked, packed, interrupted, gone on with.

Draws the tree in ROOT where that does not exist (about half an hour of two cores and 5 GB; with no ROOT it is removed
in the end), forgets what dfer keeps there, and runs the commands that one runs over a data set, each in a process of
its own. ``dfer data cache`` gets Ctrl-C after a third of the clips and SIGKILL after two thirds; what is there in the
end is verified, and compared with the originals. Then it opens a fold and loads training clips from the originals, the
packed copy and one of raw pixels. Memory is the largest sum over a command's processes, shared memory counted once,
what it maps of files included. Works on drawn trees alone, since it deletes.

    python benchmarks/full_size.py [ROOT] [--clips 11697] [--size 64] [--loads 1000] [--no-raw]
"""

import argparse
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor

from dfer.datasets import DFEW
from dfer.datasets.dfew import open_index
from dfer.datasets.packed.packed import packed_in, packed_name
from dfer.datasets.synthetic.mark import is_drawn
from dfer.transforms import EvalTransform, TrainTransform
from dfer.transforms.spatial import resize

DFER = (sys.executable, "-m", "dfer.cli")


class Ended(NamedTuple):
    """How a process ended: ``told`` is the last line that it printed."""

    status: int
    seconds: float
    megabytes: float
    told: str


def run(command: list[str], folder: Path, until: Callable[[], bool] = lambda: False, number: int = 0) -> Ended:
    """Run a command in a folder and watch its memory; send a signal to it and its workers once ``until`` holds."""
    start, most, sent, turn = time.perf_counter(), 0.0, False, 0
    with (folder / "told.txt").open("w+") as told:
        process = subprocess.Popen(
            command, cwd=folder, stdout=told, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_heed_ctrl_c
        )
        while process.poll() is None:
            if not sent and until():
                os.killpg(process.pid, number)
                sent = True
            if turn % 20 == 0:
                most = max(most, memory(process.pid))
            turn += 1
            time.sleep(0.02)
        told.seek(0)
        lines = told.read().strip().splitlines()
    return Ended(process.returncode, time.perf_counter() - start, most / 1e6, lines[-1] if lines else "")


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background inherits that it is ignored


def memory(pid: int) -> float:
    """Add up the memory of a process and its children."""
    total = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                found = one.memory_full_info()
                total += getattr(found, "pss", found.rss)
    return total


def disk(*paths: Path) -> float:
    """Count the gigabytes of files below some folders."""
    sizes = (entry.stat().st_size for path in paths for entry in path.rglob("*") if entry.is_file())
    return sum(sizes) / 1e9


@contextmanager
def tree(root: Path | None, clips: int | None, folder: Path) -> Iterator[Path]:
    """Draw a tree where there is none."""
    place = root or folder / "DFEW"
    if not place.exists():
        options = [] if clips is None else ["--clips", str(clips)]
        command = [*DFER, "data", "synthesize", str(place), "--layout", "dfew", "--size", "112", *options]
        show("data synthesize", run(command, folder))
    if not is_drawn(place):
        raise SystemExit(f"{place} is not drawn; name a folder that does not exist, or one of `dfer data synthesize`")
    shutil.rmtree(place / ".dfer", ignore_errors=True)
    try:
        yield place
    finally:
        shutil.rmtree(place / ".dfer" / "packed", ignore_errors=True)


def show(what: str, ended: Ended, wanted: int = 0, more: str = "") -> None:
    """Print a line of the table; end where the status is another than it should be."""
    if ended.status != wanted:
        raise SystemExit(f"{what} ended with status {ended.status}, not {wanted}: {ended.told}")
    print(f"{what:<34}{ended.seconds:8.1f} s{ended.megabytes:9.0f} MB   {more or ended.told}", flush=True)


def cached(root: Path, size: int, folder: Path) -> Path:
    """Pack a tree with two interruptions; give the copy's folder."""
    command = [*DFER, "data", "cache", "dfew", str(root), "--size", str(size)]
    index = open_index(root, "frames")
    partial = packed_in(index)[0] / f"{packed_name(index, size, False)}.partial"
    clips = sum(len(DFEW(root, split, packed=False)) for split in ("train", "test"))

    def after(share: float) -> Callable[[], bool]:
        return lambda: done(partial) >= share * clips

    ended = run(command, folder, after(1 / 3), signal.SIGINT)
    show("data cache, Ctrl-C", ended, 130, f"{done(partial)} of {clips} clips")
    ended = run(command, folder, after(2 / 3), signal.SIGKILL)
    show("data cache, on, SIGKILL", ended, -signal.SIGKILL, f"{done(partial)} of {clips} clips")
    show("data cache, on, to the end", run(command, folder))
    show("data cache --verify", run([*command, "--verify"], folder))
    return partial.with_suffix("")


def done(partial: Path) -> int:
    """Count the clips in the journal of a copy that is being made."""
    with suppress(OSError):
        return (partial / "journal.jsonl").read_bytes().count(b"\n") - 1
    return 0


def opened(root: Path, packed: bool | Path, folder: Path) -> Ended:
    """Open a fold in a process of its own; ``told`` is how long that took there."""
    chosen = str(packed) if isinstance(packed, Path) else packed
    code = (
        "import time; from dfer.datasets import DFEW; start = time.perf_counter(); "
        f"data = DFEW({str(root)!r}, 'train', packed={chosen!r}); "
        "print(f'{len(data)} clips in {time.perf_counter() - start:.2f} s')"
    )
    return run([sys.executable, "-c", code], folder)


def loading(root: Path, packed: bool | Path, side: int, loads: int) -> tuple[float, str]:
    """Load training clips here, in random order; give clips per second, and what they were read from."""
    data = DFEW(root, "train", packed=packed, transform=TrainTransform(16, side))
    rows = random.Random(0).sample(range(len(data)), min(loads, len(data)))
    start = time.perf_counter()
    for row in rows:
        data[row]
    return len(rows) / (time.perf_counter() - start), data.source.reads(data.transform.needed_size)  # type: ignore[attr-defined]


def differences(root: Path, size: int, clips: int = 50) -> tuple[float, float]:
    """Compare a copy's frames with the originals, squeezed likewise; give the mean and the largest mean of a frame."""
    one, other = (DFEW(root, "test", packed=packed, transform=EvalTransform(16, size)) for packed in (True, False))
    rows = random.Random(1).sample(range(len(one)), min(clips, len(one)))

    def frames(data: DFEW, row: int) -> Tensor:
        wanted = np.arange(data.frame_count(row))
        return resize(list(data.source.read(row, wanted, size)), size).float()  # (T, 3, S, S)

    apart = torch.cat([(frames(one, row) - frames(other, row)).abs().mean(dim=(1, 2, 3)) for row in rows])
    return float(apart.mean()), float(apart.max())


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?")
    parser.add_argument("--clips", type=int)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--loads", type=int, default=1000)
    parser.add_argument("--no-raw", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tree(options.root and options.root.absolute(), options.clips, folder) as root:
            measure(root, options.size, options.loads, not options.no_raw, folder)


def measure(root: Path, size: int, loads: int, raw: bool, folder: Path) -> None:
    """Run everything over a tree."""
    show("data index, first", run([*DFER, "data", "index", "dfew", str(root)], folder))
    show("data index, again", run([*DFER, "data", "index", "dfew", str(root)], folder))
    for more in ([], ["--similar"]):
        command = [*DFER, "data", "check", "dfew", str(root), *more, "--json"]
        ended = run(command, folder)
        found = json.loads((folder / "check-DFEW.json").read_text())
        problems = len(found["problems"])
        show(shlex.join(["data", "check", *more]), ended, 3 if problems else 0, f"{problems} problems")
    copy = cached(root, size, folder)
    mean, most = differences(root, size)
    print(f"{'from the originals, squeezed':<34}{mean:8.2f} of 255 levels, {most:.2f} in the worst frame")
    command = [*DFER, "data", "cache", "dfew", str(root), "--size", str(size)]
    show("data cache, nothing to do", run(command, folder))
    ways: dict[str, bool | Path] = {"originals": False, "packed": True}
    if raw:
        show("data cache --raw", run([*command, "--raw", "--out", str(folder)], folder))
        ways["raw"] = folder / f"{copy.name}-raw"
    for way, packed in ways.items():
        show(f"DFEW(root, 'train'), {way}", opened(root, packed, folder))
    side = int(size * 0.8**0.5)
    for way, packed in ways.items():
        rate, reads = loading(root, packed, side, loads)
        print(f"{f'training clips of 16 x {side} px, {way}':<44}{rate:8.1f} a second   {reads}", flush=True)
    sizes = {"frames": root / "Clip", "packed": copy, **({"raw": folder / f"{copy.name}-raw"} if raw else {})}
    print("on disk: " + ", ".join(f"{what} {disk(place):.2f} GB" for what, place in sizes.items()))


if __name__ == "__main__":
    main()
