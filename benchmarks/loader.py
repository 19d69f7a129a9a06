"""Loading training clips: ours against the loader most papers of this field ship.

The plain one decodes, crops, resizes, jitters (Pillow's ImageEnhance, hue through HSV) and converts to float each
frame by itself, then stacks. Same files, same frames, same crops, same jitter, one process, the two in turns;
prints clips per second, where ours spends its time, and the ratio (median of the rounds).

    python benchmarks/loader.py [--clips 24] [--side 256] [--rounds 5] [--json]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from dfer.datasets.collate import collate
from dfer.transforms import TrainTransform
from dfer.transforms.jitter import Jitter, jitter
from dfer.transforms.spatial import Box, crop, draw_box, resize
from dfer.types import Sample
from dfer.video import read_image

FRAMES, SIZE, STRENGTH, SCALE = 16, 112, 0.4, (0.8, 1.0)


def texture(side: int, rng: np.random.Generator) -> Image.Image:
    """Draw a picture whose JPEG is about as large as that of a face frame: 14 KB at 256 px."""
    picture = np.full((side, side, 3), 30.0)
    for cells, weight in ((4, 90), (12, 50), (40, 30), (side, 13)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += weight / 255 * np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def write_clips(root: Path, clips: int, side: int) -> list[list[Path]]:
    """Write folders of JPEG frames, 16 to a clip."""
    rng = np.random.default_rng(0)
    folders = []
    for clip in range(clips):
        folder = root / f"{clip:05d}"
        folder.mkdir()
        paths = [folder / f"{frame + 1}.jpg" for frame in range(FRAMES)]
        for path in paths:
            texture(side, rng).save(path, quality=90)
        folders.append(paths)
    return folders


def plain_clip(paths: Sequence[Path], rng: np.random.Generator) -> Tensor:
    """Load a clip the usual way, ``(T, 3, S, S)`` float32."""
    box, mirrored, amount = draw_box(SCALE, rng), rng.random() < 0.5, Jitter.draw(STRENGTH, rng)
    return torch.stack([plain_frame(path, box, mirrored, amount) for path in paths])


def plain_frame(path: Path, box: Box, mirrored: bool, amount: Jitter) -> Tensor:
    """Load a frame the usual way, ``(3, S, S)`` float32."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    top, left = round(box.top * image.height), round(box.left * image.width)
    corner = (left + round(box.width * image.width), top + round(box.height * image.height))
    image = image.crop((left, top, *corner)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(amount.brightness)
    image = ImageEnhance.Contrast(image).enhance(amount.contrast)
    image = ImageEnhance.Color(image).enhance(amount.saturation)
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(amount.hue * 255) % 256)
    image = Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)  # (3, S, S)


def our_clip(paths: Sequence[Path], transform: TrainTransform, rng: np.random.Generator) -> Tensor:
    """Load a clip our way, ``(T, 3, S, S)`` uint8."""

    def read(wanted: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        return [read_image(paths[index]) for index in wanted]

    return transform(len(paths), read, rng)


def rate(load: Callable[[int], Tensor], clips: int) -> float:
    """Count clips per second, stacked into batches of eight."""
    start = time.perf_counter()
    for first in range(0, clips, 8):
        collate([Sample(load(row), 0, row) for row in range(first, min(first + 8, clips))])
    return clips / (time.perf_counter() - start)


def shares(folders: Sequence[Sequence[Path]]) -> dict[str, float]:
    """Time the stages of our loader, as shares of their sum."""
    rng, spent = np.random.default_rng(0), dict.fromkeys(("read", "crop and resize", "jitter", "batch"), 0.0)
    for paths in folders:
        box, amount = draw_box(SCALE, rng), Jitter.draw(STRENGTH, rng)
        marks = [time.perf_counter()]
        frames = [read_image(path) for path in paths]
        marks.append(time.perf_counter())
        clip = resize([crop(frame, box) for frame in frames], SIZE)
        marks.append(time.perf_counter())
        clip = jitter(clip, amount)
        marks.append(time.perf_counter())
        collate([Sample(clip, 0, 0)])
        marks.append(time.perf_counter())
        for stage, before, after in zip(spent, marks[:-1], marks[1:]):
            spent[stage] += after - before
    total = sum(spent.values())
    return {stage: seconds / total for stage, seconds in spent.items()}


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transform = TrainTransform(FRAMES, SIZE, crop_scale=SCALE, jitter=STRENGTH)
    with tempfile.TemporaryDirectory() as root:
        folders = write_clips(Path(root), options.clips, options.side)
        kilobytes = statistics.fmean(path.stat().st_size for paths in folders for path in paths) / 1000

        def plain(row: int) -> Tensor:
            return plain_clip(folders[row], np.random.default_rng([0, 0, row]))

        def ours(row: int) -> Tensor:
            return our_clip(folders[row], transform, np.random.default_rng([0, 0, row]))

        rate(plain, 2), rate(ours, 2)  # warm
        pairs = [(rate(plain, options.clips), rate(ours, options.clips)) for _ in range(options.rounds)]
        stages = shares(folders)
    result = {
        "plain_clips_per_second": statistics.median(pair[0] for pair in pairs),
        "clips_per_second": statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(ours / plain for plain, ours in pairs),
        "shares": stages,
        "kilobytes_per_frame": kilobytes,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{FRAMES} frames, {options.side} -> {SIZE} px, {kilobytes:.1f} KB a frame, training, one process")
    print(f"Pillow per frame  {result['plain_clips_per_second']:7.1f} clips/s")
    print(f"dfer              {result['clips_per_second']:7.1f} clips/s")
    print("of which          " + ", ".join(f"{stage} {share:.0%}" for stage, share in stages.items()))
    print(f"ratio             {result['ratio']:7.2f} (median of {options.rounds})")


if __name__ == "__main__":
    main()
