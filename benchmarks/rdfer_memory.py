"""Memory of a training step of RDFER on dense clips of 64 frames, against one on 16 plain frames (bound: 1.6 times).

The plain model is the same without re-sampling, and its clips have 16 frames. Each makes one step (forward, backward,
AdamW) in a process of its own. On a processor it is the peak of the resident memory above what the process holds with
the model built (Linux only); on a GPU, the peak of what is allocated, likewise. Clips, activations, gradients and
AdamW's state count, the weights themselves do not: in both they are about the same, and would hide the difference.

    python benchmarks/rdfer_memory.py [--backbone resnet50] [--batch 8] [--size 112] [--device cpu] [--json]
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from dfer import backbones
from dfer.models import RDFER

BOUND = 1.6
FRAMES = {"dense": 64, "plain": 16}
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "1000000"}  # glibc keeps no freed tensor: without it runs differ by a tenth


def step_memory(which: str, backbone: str, batch: int, size: int, device: str) -> float:
    """Make one training step; give its peak in MB."""
    torch.manual_seed(0)
    network = getattr(backbones, backbone)()
    frames = FRAMES[which]
    model = RDFER(backbone=network, frames=frames, size=size, resample=which == "dense").to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    before = start(device)
    clip = torch.randint(0, 256, (batch, 3, frames, size, size), dtype=torch.uint8).to(device)
    loss = F.cross_entropy(model(clip).logits, torch.arange(batch, device=device) % 7)
    loss.backward()
    optimizer.step()
    return (peak(device) - before) / 1e6


def start(device: str) -> int:
    """Forget the peak so far; give the bytes held now."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def peak(device: str) -> int:
    """Give the most bytes held since the start."""
    return resident("VmHWM") if device == "cpu" else torch.cuda.max_memory_allocated(device)


def resident(field: str) -> int:
    """Read a field of this process's memory, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50", help="of dfer.backbones, on frames")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=FRAMES, help="make this step here, and print its MB alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only:
        print(step_memory(options.only, options.backbone, options.batch, options.size, options.device))
        return
    result = {}
    for which in FRAMES:
        command = [sys.executable, *sys.argv, "--only", which]
        done = subprocess.run(command, env=os.environ | GIVE_BACK, stdout=subprocess.PIPE, check=True)
        result[f"{which}_mb"] = float(done.stdout)
    result["ratio"] = result["dense_mb"] / result["plain_mb"]
    if options.json:
        print(json.dumps(result))
        return
    print(f"RDFER on {options.backbone}, one training step, batch {options.batch}, {options.size} px, {options.device}")
    for which, frames in FRAMES.items():
        print(f"{which}, {frames} frames  {result[f'{which}_mb']:6.0f} MB")
    print(f"ratio {result['ratio']:.3f} (bound {BOUND})")


if __name__ == "__main__":
    main()
