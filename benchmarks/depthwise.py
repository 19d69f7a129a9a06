"""A training step of X3D-S with our depthwise convolutions against one with torch's, on a processor.

16 clips of 16 frames at 48 px, forward and backward, one thread, float32 and bfloat16. Both take turns; prints
milliseconds per step and how many times longer torch's takes (medians of the rounds).

    python benchmarks/depthwise.py [--rounds 5] [--width 0.5] [--json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dfer.backbones import x3d_s
from dfer.backbones.depthwise import Depthwise3D, DepthwiseInTime

OURS = {kind: kind.forward for kind in (Depthwise3D, DepthwiseInTime)}


def seconds(
    backbone: nn.Module, clip: Tensor, bfloat16: bool, forwards: dict[type[nn.Conv3d], Callable[..., Tensor]]
) -> float:
    """Time one step with these convolutions."""
    for kind, forward in forwards.items():
        kind.forward = forward  # type: ignore[method-assign]
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        loss = backbone(clip).square().mean()
    loss.backward()
    return time.perf_counter() - start


def compare(rounds: int, width: float, bfloat16: bool) -> dict[str, float]:
    """Time both on the same batch and network."""
    torch.manual_seed(0)
    backbone, clip = x3d_s(width=width).train(), torch.randn(16, 3, 16, 48, 48)
    ways = {"ours": OURS, "torch": dict.fromkeys(OURS, nn.Conv3d.forward)}
    found = []
    for turn in range(rounds + 1):
        spent = {name: seconds(backbone, clip, bfloat16, forwards) for name, forwards in ways.items()}
        if turn:  # the first one warms up
            found.append(spent)
    return {
        **{f"{name}_ms": 1000 * statistics.median(spent[name] for spent in found) for name in ways},
        "ratio": statistics.median(spent["torch"] / spent["ours"] for spent in found),
    }


def main() -> None:
    """Print both precisions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        found = {
            "float32": compare(options.rounds, options.width, bfloat16=False),
            "bfloat16": compare(options.rounds, options.width, bfloat16=True),
        }
    finally:
        for kind, forward in OURS.items():
            kind.forward = forward  # type: ignore[method-assign]
    if options.json:
        print(json.dumps(found))
        return
    for precision, result in found.items():
        ours, theirs = result["ours_ms"], result["torch_ms"]
        print(f"{precision:8s}  ours {ours:6.0f} ms  torch's {theirs:6.0f} ms, {result['ratio']:.2f}x")


if __name__ == "__main__":
    main()
