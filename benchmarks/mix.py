"""Mixing a batch against loading it: 32 training clips of 16 frames at 112 px, one process, one thread.

The loader is ours, without colour jitter (SAFE's recipe), from JPEG frames of about 14 KB; each strategy mixes
the batch that it loaded. Prints milliseconds and mixing's share of the loader's time (median of the rounds).

    python benchmarks/mix.py [--clips 32] [--rounds 5] [--json]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from loader import FRAMES, SCALE, SIZE, write_clips
from numpy.typing import NDArray
from torch import Tensor

from dfer.datasets.collate import collate
from dfer.transforms import ClipMix, TrainTransform
from dfer.transforms.mix import STRATEGIES, mix_generator
from dfer.types import Sample
from dfer.video import read_image


def load(paths: Sequence[Path], transform: TrainTransform, rng: np.random.Generator) -> Tensor:
    """Load a clip from its files, ``(T, 3, S, S)`` uint8."""

    def read(wanted: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        return [read_image(paths[index]) for index in wanted]

    return transform(len(paths), read, rng)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transform = TrainTransform(FRAMES, SIZE, crop_scale=SCALE, jitter=0.0)
    spent: dict[str, list[float]] = {name: [] for name in ("load", *STRATEGIES)}
    with tempfile.TemporaryDirectory() as root:
        paths = write_clips(Path(root), options.clips, 256)
        folders = [paths[first : first + FRAMES] for first in range(0, len(paths), FRAMES)]
        for turn in range(options.rounds):
            start = time.perf_counter()
            clips = [load(files, transform, np.random.default_rng([turn, i])) for i, files in enumerate(folders)]
            batch = collate([Sample(clip, i % 7, i) for i, clip in enumerate(clips)])
            spent["load"].append(time.perf_counter() - start)
            for strategy in STRATEGIES:
                mix = ClipMix(strategy)
                start = time.perf_counter()
                mix(batch.clip, batch.label, mix_generator(0, 0, turn))
                spent[strategy].append(time.perf_counter() - start)
    seconds = {name: statistics.median(times) for name, times in spent.items()}
    shares = {
        name: statistics.median(mixing / loading for mixing, loading in zip(spent[name], spent["load"]))
        for name in STRATEGIES
    }
    if options.json:
        print(json.dumps({"clips": options.clips, "seconds": seconds, "shares": shares}))
        return
    print(f"{options.clips} clips of {FRAMES} x {SIZE} x {SIZE}, one process; loading {1000 * seconds['load']:.0f} ms")
    for name in STRATEGIES:
        print(f"{name:9} {1000 * seconds[name]:6.1f} ms, {shares[name]:6.2%} of loading")


if __name__ == "__main__":
    main()
