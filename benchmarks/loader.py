"""Loading clips: ours against the loader most papers of this field ship.

The plain one decodes, crops, resizes, jitters (Pillow's ImageEnhance, hue through HSV) and converts to float each
frame by itself, then stacks. Ours are the data sets themselves: from the same files, and from the packed copies that
`dfer data cache` makes of them. Same clips, same frames, same crops, same jitter, one process with one thread, all in
turns. Prints clips per second of processor time (medians), how many times the plain loader's rate that is (median of
the rounds' ratios), and where the time goes when workers load: decoding, transform, and transfer, which is stacking a
batch and handing it from a worker to the trainer. Last, the memory of all processes with four workers: RSS counts
what they share once in each, PSS once in all, and batches that wait for the trainer are in neither.

    python benchmarks/loader.py [--clips 24] [--side 256] [--rounds 5] [--json]
"""

import argparse
import io
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import Dataset

from dfer.datasets import FolderClips
from dfer.datasets.base import ClipDataset
from dfer.datasets.collate import collate, loader
from dfer.datasets.packed.command import cache
from dfer.transforms import ClipTransform, EvalTransform, TrainTransform
from dfer.transforms.jitter import Jitter
from dfer.transforms.spatial import WHOLE, Box, draw_box
from dfer.types import Sample

FRAMES, SIZE, STRENGTH, SCALE = 16, 112, 0.4, (0.8, 1.0)
NAMES = {"plain": "Pillow per frame", "originals": "dfer, same files", "jpeg": "packed JPEG", "raw": "packed, --raw"}
PACKED_AT = {"training": 128, "evaluation": SIZE}
STAGES = ("decode", "transform", "transfer")


def texture(side: int, rng: np.random.Generator) -> Image.Image:
    """Draw a picture whose JPEG is about as large as that of a face frame: 14 KB at 256 px."""
    picture = np.full((side, side, 3), 30.0)
    for cells, weight in ((4, 90), (12, 50), (40, 30), (side, 13)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += weight / 255 * np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def write_clips(root: Path, clips: int, side: int) -> list[Path]:
    """Write folders of JPEG frames, 16 to a clip; give their paths."""
    rng = np.random.default_rng(0)
    paths = []
    for clip in range(clips):
        folder = root / f"{clip:05d}"
        folder.mkdir(parents=True)
        for frame in range(FRAMES):
            paths.append(folder / f"{frame + 1}.jpg")
            texture(side, rng).save(paths[-1], quality=90)
    return paths


class PlainFiles:
    """Frames by Pillow, one file after the other."""

    def __init__(self, clips: Sequence[Sequence[Path]]) -> None:
        self.clips = clips

    def frame_count(self, row: int) -> int:
        """Count the frames of a clip."""
        return len(self.clips[row])

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> list[Any]:
        """Decode frames the usual way."""
        return [self._image(self.clips[row][index]) for index in wanted]

    @staticmethod
    def _image(path: Path) -> Image.Image:
        with Image.open(path) as file:
            return file.convert("RGB")


class PlainPixels:
    """Crop, flip and jitter, or the whole frame, the usual way: ``(T, 3, S, S)`` float32."""

    needed_size = None

    def __init__(self, train: bool) -> None:
        self.train = train

    def __call__(self, frames: Sequence[Any], rng: np.random.Generator) -> Tensor:
        if not self.train:
            return torch.stack([tensor(cut(image, WHOLE)) for image in frames])
        box, mirrored, amount = draw_box(SCALE, rng), rng.random() < 0.5, Jitter.draw(STRENGTH, rng)
        return torch.stack([tensor(jittered(flipped(cut(image, box), mirrored), amount)) for image in frames])


def cut(image: Image.Image, box: Box) -> Image.Image:
    """Cut a box out and resize it."""
    top, left = round(box.top * image.height), round(box.left * image.width)
    corner = (left + round(box.width * image.width), top + round(box.height * image.height))
    return image.crop((left, top, *corner)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def flipped(image: Image.Image, mirrored: bool) -> Image.Image:
    """Mirror a frame, or not."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def jittered(image: Image.Image, amount: Jitter) -> Image.Image:
    """Change a frame's colours."""
    image = ImageEnhance.Brightness(image).enhance(amount.brightness)
    image = ImageEnhance.Contrast(image).enhance(amount.contrast)
    image = ImageEnhance.Color(image).enhance(amount.saturation)
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(amount.hue * 255) % 256)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def tensor(image: Image.Image) -> Tensor:
    """Convert a frame, ``(3, S, S)`` float32."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)


class Timed:
    """Frames of a source; ``seconds`` sums what reading them took."""

    def __init__(self, source: Any) -> None:
        self.source = source
        self.seconds = 0.0

    def frame_count(self, row: int) -> int:
        """Count the frames of a clip."""
        return int(self.source.frame_count(row))

    def read(self, row: int, wanted: NDArray[np.int64], size: int | None = None) -> Any:
        """Read frames, and take the time."""
        start = time.process_time()
        frames = self.source.read(row, wanted, size)
        self.seconds += time.process_time() - start
        return frames


class Ready(Dataset[Sample]):
    """Clips that are there already."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        return self.samples[key[1]]


def data_sets(root: Path, clips: int, task: str) -> dict[str, ClipDataset]:
    """Open the clips below ``root``, plain and our ways; make the packed copies."""
    train = task == "training"
    ours = TrainTransform(FRAMES, SIZE, crop_scale=SCALE, jitter=STRENGTH) if train else EvalTransform(FRAMES, SIZE)
    found = {"originals": FolderClips(root, "train", transform=ours, packed=False)}
    for kind in ("jpeg", "raw"):
        with redirect_stdout(io.StringIO()):
            cache("folder", root, size=PACKED_AT[task], raw=kind == "raw", out=root.parent / kind, workers=0)
        found[kind] = FolderClips(root, "train", transform=ours, packed=root.parent / kind)
    files = [[root / found["raw"].clip_id(row) / f"{frame + 1}.jpg" for frame in range(FRAMES)] for row in range(clips)]
    plain = ClipDataset(
        *(PlainFiles(files), ("happy",), np.zeros(clips, np.int64), found["raw"].clip_ids),
        *(ClipTransform(ours.sample, PlainPixels(train)), {}),
    )
    return {"plain": plain, **found}


def seconds(data: ClipDataset, clips: int, least: float = 0.2) -> tuple[float, float]:
    """Load clips in this process, in batches of eight; give the processor time of one, and of decoding it."""
    timed = Timed(data.source)
    data = data.with_transform(data.transform)
    data.source = timed
    start, loaded = time.process_time(), 0
    while loaded == 0 or time.process_time() - start < least:
        for first in range(0, clips, 8):
            collate([data[row] for row in range(first, min(first + 8, clips))])
        loaded += clips
    return (time.process_time() - start) / loaded, timed.seconds / loaded


def transfer(samples: Sequence[Sample], few: int = 8, many: int = 40) -> float:
    """Hand batches of eight from two workers to this process; give the processor time of all three for a clip."""

    def cost(batches: int) -> float:
        before = sum(os.times()[:4])
        keys = [(0, row % len(samples)) for row in range(8 * batches)]
        for _ in loader(Ready(samples), batch_size=8, sampler=keys, workers=2):  # type: ignore[arg-type]
            pass
        return sum(os.times()[:4]) - before

    return max(cost(many) - cost(few), 0.0) / (8 * (many - few))  # without what starting the workers takes


def memory(data: ClipDataset, clips: int, batches: int = 12) -> dict[str, float]:
    """Load batches of 16 with four workers and look at each; give the most memory that was held, in MB."""
    most = {"rss": 0.0, "pss": 0.0, "waiting": 0.0}
    keys = [(number // clips, number % clips) for number in range(16 * batches)]
    before = shared()
    for batch in loader(data, batch_size=16, sampler=keys, workers=4):  # type: ignore[arg-type]
        batch.clip.amax()  # as a model would
        time.sleep(0.2)  # a model is slower: batches wait for it
        for kind, megabytes in held(psutil.Process().children(recursive=True)).items():
            most[kind] = max(most[kind], megabytes)
        most["waiting"] = max(most["waiting"], shared() - before)
    return most


def held(children: Sequence[psutil.Process] = ()) -> dict[str, float]:
    """Add up the memory of this process and others, in MB; ``pss`` counts what they share once (Linux)."""
    found = [process.memory_full_info() for process in (psutil.Process(), *children)]
    return {kind: sum(getattr(one, kind, one.rss) for one in found) / 1e6 for kind in ("rss", "pss")}


def shared() -> float:
    """Give the shared memory of the whole system, in MB: batches on their way belong to no process (Linux)."""
    return float(getattr(psutil.virtual_memory(), "shared", 0)) / 1e6


def compare(root: Path, clips: int, task: str, rounds: int) -> tuple[dict[str, Any], dict[str, ClipDataset]]:
    """Time all loaders of a task in turns; give the figures, and the data sets."""
    ways = data_sets(root, clips, task)
    for data in ways.values():
        seconds(data, 1, least=0)  # warm
    taken = [{name: seconds(data, clips) for name, data in ways.items()} for _ in range(rounds)]
    result: dict[str, Any] = {}
    expected = ways["plain"][0].clip * 255
    for name, data in ways.items():
        whole = statistics.median(times[name][0] for times in taken)
        decode = statistics.median(times[name][1] for times in taken)
        handing = statistics.median(transfer([data[row] for row in range(8)]) for _ in range(3))
        parts = (decode, whole - decode, handing)
        clip = data[0].clip * 255 if name == "plain" else data[0].clip
        result[name] = {
            "clips_per_second": 1 / whole,
            "ratio": statistics.median(times["plain"][0] / times[name][0] for times in taken),
            "shares": dict(zip(STAGES, (part / sum(parts) for part in parts))),
            "grey_levels_off": float((clip - expected).abs().mean()),
        }
    return result, ways


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clips = max(8, options.clips)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create")  # four workers, on however few cores
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "clips")
        paths = write_clips(root / "train" / "happy", clips, options.side)
        write_clips(root / "test" / "happy", 1, options.side)
        result: dict[str, Any] = {"kilobytes_per_frame": statistics.fmean(p.stat().st_size for p in paths) / 1000}
        result["training"], ways = compare(root, clips, "training", options.rounds)
        result["memory"] = {"alone": {**held(), "waiting": 0.0}}
        result["memory"] |= {name: memory(ways[name], clips) for name in ("plain", "raw")}
        result["evaluation"], _ = compare(root, clips, "evaluation", options.rounds)
    if options.json:
        print(json.dumps(result))
    else:
        show(result, options.side, options.rounds)


def show(result: dict[str, Any], side: int, rounds: int) -> None:
    """Print tables."""
    frames = f"{FRAMES} frames, {side} -> {SIZE} px, {result['kilobytes_per_frame']:.1f} KB a frame"
    print(f"{frames}, one process, median of {rounds}")
    for task, size in PACKED_AT.items():
        print(f"\n{task:<24}clips/s   ratio   " + " ".join(f"{stage:>9}" for stage in STAGES))
        for name, title in NAMES.items():
            found = result[task][name]
            label = f"{title}, {size} px" if name in ("jpeg", "raw") else title
            shares = " ".join(f"{found['shares'][stage]:9.0%}" for stage in STAGES)
            print(f"  {label:<20}{found['clips_per_second']:9.1f}{found['ratio']:8.2f}   {shares}")
    print(f"\n{'training, four workers':<24} RSS MB  PSS MB  waiting MB   (all processes; batches of 16)")
    for name, label in (("plain", "Pillow, float32"), ("raw", "packed, --raw, uint8"), ("alone", "before, no workers")):
        found = result["memory"][name]
        print(f"  {label:<20}{found['rss']:9.0f}{found['pss']:8.0f}{found['waiting']:12.0f}")


if __name__ == "__main__":
    main()
