"""What two epochs of training gain from a packed copy: originals, packed JPEG and packed raw pixels in turns.

Writes a tree in DFEW's layout, of textured JPEG frames of 256 px as large as those of faces (14 KB), packs it at the
size that training needs, and runs ``dfer train`` on it, each run in a process of its own, with 0 and 2 workers and with
models that compute ever longer. Seconds are those of an epoch as the run's metrics.csv has them, training clips and the
ninth part of as many to choose the epoch by; medians of the rounds, in which the ways take turns. The files were just
written, so that none is read from a cold disk. Where a model computes for longer than it takes to load, there is little
to gain, and it shows.

    python benchmarks/packed_training.py [--clips 200] [--model NAME ...] [--workers N ...] [--rounds 3] [--json]
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from loader import texture

from dfer.datasets.dfew import MEDIA, set_path
from dfer.datasets.synthetic.mark import mark_drawn

DFER = (sys.executable, "-m", "dfer.cli")
SIDE, FRAMES = 256, 20


class Model(NamedTuple):
    """A model as options of ``dfer train``."""

    size: int
    options: tuple[str, ...]

    @property
    def packed(self) -> int:
        """The side that training needs: of a crop of four fifths of the frame, ``size`` must be left."""
        return math.ceil(self.size / math.sqrt(0.8))


MODELS = {
    "R3D-18 of a sixteenth": Model(48, ("--model.model.backbone.width", "0.0625")),
    "R3D-18 of a quarter": Model(48, ("--model.model.backbone.width", "0.25")),
    "R3D-18 of a quarter, 112 px": Model(112, ("--model.model.backbone.width", "0.25")),
}


def write_tree(root: Path, clips: int) -> None:
    """Write clips in DFEW's layout; four fifths of them are to be trained on."""
    rng = np.random.default_rng(0)
    pictures = root / "pictures"
    pictures.mkdir(parents=True)
    for number in range(64):
        texture(SIDE, rng).save(pictures / f"{number}.jpg", quality=90)
    jpegs = [path.read_bytes() for path in sorted(pictures.iterdir())]
    for path in pictures.iterdir():
        path.unlink()
    pictures.rmdir()
    lines: dict[str, list[str]] = {"train": ["video_name,label"], "test": ["video_name,label"]}
    for clip in range(1, clips + 1):
        folder = root / MEDIA["frames"] / f"{clip:05d}"
        folder.mkdir(parents=True)
        for frame in range(1, FRAMES + 1):
            (folder / f"{clip:05d}_{frame:05d}.jpg").write_bytes(jpegs[rng.integers(len(jpegs))])
        lines["test" if clip % 5 == 0 else "train"].append(f"{clip},{clip // 5 % 7 + 1}")
    for split, text in lines.items():
        path = set_path(root, split, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(text) + "\n")
    mark_drawn(root, layout="dfew", preset="texture")


def train(model: Model, root: Path, packed: str, workers: int, out: Path) -> tuple[list[float], str]:
    """Train two epochs; give the seconds of each, and what the run says that it read."""
    command = [*DFER, "train", "dfew/baseline", "--out", str(out), "--data.root", str(root)]
    command += ["--data.dataset.packed", packed, "--data.workers", str(workers), "--data.batch_size", "16"]
    command += ["--model.model.size", str(model.size), "--model.model.backbone.weights", "none", *model.options]
    command += ["--model.warmup_epochs", "0", "--trainer.max_epochs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"dfer train ended with status {done.returncode}: {done.stderr.strip()}")
    rows = csv.DictReader((out / "metrics.csv").read_text().splitlines())
    reads = json.loads((out / "run.json").read_text())["data"]["reads"]
    return [float(row["seconds"]) for row in rows], reads


def pack(root: Path, size: int, raw: bool, out: Path) -> float:
    """Make a packed copy; give the seconds that it took."""
    start = time.perf_counter()
    command = [*DFER, "data", "cache", "dfew", str(root), "--size", str(size), "--out", str(out)]
    subprocess.run([*command, *(["--raw"] if raw else [])], check=True, capture_output=True)
    return time.perf_counter() - start


def measure(name: str, root: Path, workers: list[int], rounds: int, folder: Path) -> dict[str, Any]:
    """Time all ways of one model, in turns."""
    model, copies, packing = MODELS[name], {"originals": "false"}, {}
    for way in ("packed", "raw"):
        out = folder / name / way
        packing[way] = pack(root, model.packed, way == "raw", out)
        (copies[way],) = map(str, out.iterdir())
    runs = []
    for number in workers:
        taken: dict[str, list[list[float]]] = {way: [] for way in copies}
        reads = {}
        for turn in range(rounds):
            for way, packed in copies.items():
                out = folder / name / f"run-{way}-{number}-{turn}"
                seconds, reads[way] = train(model, root, packed, number, out)
                taken[way].append(seconds)
        medians = {way: np.median(of, axis=0).tolist() for way, of in taken.items()}  # of each epoch
        for way, seconds in medians.items():
            gains = [one / two for one, two in zip(medians["originals"], seconds)]
            runs.append({"workers": number, "way": way, "reads": reads[way], "seconds": seconds, "gains": gains})
    return {"model": name, "size": model.size, "packing": packing, "runs": runs}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--model", action="append", choices=MODELS)
    parser.add_argument("--workers", type=int, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "DFEW"
        write_tree(root, options.clips)
        found = []
        for chosen in options.model or MODELS:
            found.append(measure(chosen, root, options.workers or [0, 2], options.rounds, folder))
            if not options.json:
                show(found[-1], options.clips)
    if options.json:
        print(json.dumps(found))


def show(found: dict[str, Any], clips: int) -> None:
    """Print a model's lines."""
    took = ", ".join(f"{way} {seconds:.1f} s" for way, seconds in found["packing"].items())
    print(f"{found['model']}, 16 frames of {found['size']} px, {clips * 4 // 5} clips; packing: {took}")
    print("  workers  read from            epoch 1    epoch 2   times as quick")
    for run in found["runs"]:
        one, two = run["seconds"]
        gains = ", ".join(f"{gain:.2f}" for gain in run["gains"])
        print(f"  {run['workers']:7}  {run['reads']:<19}{one:7.1f} s  {two:7.1f} s   {gains}", flush=True)


if __name__ == "__main__":
    main()
