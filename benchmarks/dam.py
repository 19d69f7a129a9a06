"""DAM against the whole of X3D-M, 16 frames of 160 px, one thread (bound after stage 4: 1 %, after 3 and 4: 3 %).

X3D-M and a DAM for the feature of each of its stages take turns; prints milliseconds per call (median of the rounds)
and the share (likewise) that DAM adds. Stages 1 and 2 have no bound: attention between places is quadratic in their
number, 1600 and 400 against 100 and 25. With --training both run forward and backward, in training mode.

    python benchmarks/dam.py [--training] [--batch 8] [--rounds 5] [--json]
"""

import argparse
import json
import statistics
import time

import torch
from torch import Tensor, nn

from dfer.backbones import x3d_m
from dfer.modules import DAM

FRAMES, SIZE = 16, 160
PLACES = {"1": ["1"], "2": ["2"], "3": ["3"], "4": ["4"], "3+4": ["3", "4"]}
BOUNDS = {"4": 0.01, "3+4": 0.03}


def measure(batch: int, rounds: int, training: bool) -> list[dict[str, object]]:
    """Time the backbone and the DAM of each stage, on features of the shapes that the backbone gives."""
    backbone = x3d_m()
    parts: dict[str, tuple[nn.Module, Tensor]] = {"x3d": (backbone, torch.randn(batch, 3, FRAMES, SIZE, SIZE))}
    for stage, channels in backbone.stage_channels.items():
        side = SIZE // 2 ** (stage + 1)
        feature = torch.randn(batch, channels, FRAMES, side, side)
        parts[str(stage)] = (
            DAM(channels, FRAMES),
            feature.contiguous(memory_format=torch.channels_last_3d),
        )  # as X3D's
    for module, x in parts.values():
        module.train(training)
        seconds(module, x, training)  # warm
    spent = [{name: seconds(module, x, training) for name, (module, x) in parts.items()} for _ in range(rounds)]
    return [
        {
            "stages": stages,
            "training": training,
            "x3d_ms": 1000 * statistics.median(times["x3d"] for times in spent),
            "dam_ms": 1000 * statistics.median(sum(times[stage] for stage in among) for times in spent),
            "share": statistics.median(sum(times[stage] for stage in among) / times["x3d"] for times in spent),
        }
        for stages, among in PLACES.items()
    ]


def seconds(module: nn.Module, x: Tensor, training: bool) -> float:
    """Time one call, and its way back in training."""
    x = x.detach().requires_grad_(training and isinstance(module, DAM))
    start = time.perf_counter()
    with torch.set_grad_enabled(training):
        y = module(x)
    if training:
        y.sum().backward()
    return time.perf_counter() - start


def main() -> None:
    """Print what DAM adds after each stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = measure(options.batch, options.rounds, options.training)
    if options.json:
        print(json.dumps(results))
        return
    mode = "training" if options.training else "inference"
    print(f"X3D-M, batch {options.batch}, {mode}, one thread, median of {options.rounds} rounds")
    print("stages  X3D-M ms  DAM ms   share  bound")
    for row in results:
        bound = f"{BOUNDS[row['stages']]:6.1%}" if row["stages"] in BOUNDS else "  none"
        print(f"{row['stages']:>6}  {row['x3d_ms']:8.0f}  {row['dam_ms']:6.1f}  {row['share']:6.2%} {bound}")


if __name__ == "__main__":
    main()
