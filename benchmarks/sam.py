"""A training step with SAM, and one with DistributionAwareLoss, against a plain one (bounds: 2.15 and 1.05 times).

Plain is fused AdamW with cross-entropy, on a quarter-width r3d_18 at 48 px, 16 clips of 16 frames, float32, one thread.
SAM goes around the same AdamW, with the same loss. The loss is taken with the plain AdamW, and is told the gradient's
norm each step, as the trainer tells it. The three take turns, step by step; prints milliseconds per step (median of
the rounds) and ratios (likewise).

    python benchmarks/sam.py [--rounds 5] [--steps 2] [--json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dfer.backbones import r3d_18
from dfer.losses import CrossEntropy, DistributionAwareLoss
from dfer.models import Recognizer
from dfer.optim import SAM, frozen_statistics
from dfer.optim.sam import total_norm
from dfer.types import Batch

adamw = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.05, fused=True)

BOUNDS = {"sam": 2.15, "dsm": 1.05}


def stepper(batch: Batch, build: Callable[..., Optimizer], loss: nn.Module) -> Callable[[], object]:
    """Give what makes one training step of a fresh model."""
    torch.manual_seed(0)
    model = Recognizer(r3d_18(weights=None, width=0.25), num_classes=7, frames=16, size=48).train()
    optimizer = build(model.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        second = isinstance(optimizer, SAM) and optimizer.second_pass
        with frozen_statistics(model, second):
            found: Tensor = loss(model(batch.clip), batch)
        found.backward()  # type: ignore[no-untyped-call]
        if isinstance(loss, DistributionAwareLoss) and not second:
            [float(value) for value in loss.diagnostics().values()]
            loss.update(total_norm(optimizer))
        return found

    return lambda: optimizer.step(closure)  # type: ignore[arg-type]


def compare(rounds: int, steps: int) -> dict[str, float]:
    """Time the three on the same batch."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (16, 3, 16, 48, 48), dtype=torch.uint8, generator=generator)
    batch = Batch(clip, torch.arange(16) % 7, torch.arange(16), torch.ones(16))
    variants = {
        "plain": stepper(batch, adamw, CrossEntropy()),
        "sam": stepper(batch, partial(SAM, base_optimizer=adamw), CrossEntropy()),
        "dsm": stepper(batch, adamw, DistributionAwareLoss()),
    }
    for step in variants.values():
        step()  # warm
    found = []
    for _ in range(rounds):
        spent = dict.fromkeys(variants, 0.0)
        for _ in range(steps):
            for name, step in variants.items():
                spent[name] += seconds(step)
        found.append(spent)
    result = {f"{name}_ms": 1000 * statistics.median(row[name] for row in found) / steps for name in variants}
    return result | {
        f"{name}_ratio": statistics.median(row[name] / row["plain"] for row in found) for name in ("sam", "dsm")
    }


def seconds(run: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = compare(options.rounds, options.steps)
    if options.json:
        print(json.dumps(result))
        return
    print(f"one training step, one thread, median of {options.rounds} rounds of {options.steps} steps")
    print(f"{'AdamW, cross-entropy':29}  {result['plain_ms']:5.0f} ms")
    for name, what in (("sam", "SAM(AdamW), cross-entropy"), ("dsm", "AdamW, DistributionAwareLoss")):
        ratio = f"ratio {result[f'{name}_ratio']:.3f} (bound {BOUNDS[name]})"
        print(f"{what:29}  {result[f'{name}_ms']:5.0f} ms  {ratio}")


if __name__ == "__main__":
    main()
