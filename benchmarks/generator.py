"""Drawn frames per second on one core, style included: ``python benchmarks/generator.py [SIZE]``.

Counts the processor's own time, so other work on the machine changes little.
"""

import sys
import time

from dfer.datasets.synthetic.draw import draw_clip
from dfer.datasets.synthetic.knobs import PRESETS
from dfer.datasets.synthetic.truth import make_truth

WANTED = 300


def main(size: int = 112, clips: int = 40) -> None:
    """Print frames/s per preset, and its ratio to the 300 that the project asks for at 112 pixels."""
    for name, knobs in PRESETS.items():
        table = make_truth("train", clips, knobs, 0).to_dict("records")
        start, frames = time.process_time(), 0
        for row, truth in enumerate(table):
            frames += len(draw_clip({str(k): v for k, v in truth.items()}, "train", row, size, knobs, 0))
        speed = frames / (time.process_time() - start)
        print(f"{name}: {speed:.0f} frames/s at {size} px ({speed / WANTED:.1f} x {WANTED})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
