"""What it would be worth to know where the key expression is: runs of RDFER, told so.

Of drawn faces the true centre is known. The re-sampling of a finished run gets it, or the middle of the clip, in the
place of what the run's detector says, at some strides; the rest of the model stays as it is. Prints the mean over the
runs of WAR and cross-entropy on the test clips that show an expression, as Markdown.

    python benchmarks/key_expression.py RUN [RUN ...] [--clips 400]
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dfer.datasets import SyntheticFaces
from dfer.datasets.collate import collate
from dfer.evaluation.source import Source
from dfer.models import RDFER
from dfer.modules.key_expression import KeyExpression
from dfer.runs import RunFolder

STRIDES = (4.0, 2.0, 1.0)
BATCH = 16

Told = Callable[[KeyExpression, Tensor], KeyExpression]


def told(centre: str, stride: float) -> Told:
    """Say the true centre or the middle, and a stride, whatever the detector found."""

    def say(found: KeyExpression, truth: Tensor) -> KeyExpression:
        where = truth if centre == "true centre" else torch.full_like(truth, 0.5)
        return KeyExpression(where, torch.full_like(found.stride, stride), found.summary)

    return say


WAYS: dict[str, Told] = {
    "as detected": lambda found, truth: found,
    **{
        f"{centre}, stride {stride:g}": told(centre, stride)
        for stride in STRIDES
        for centre in ("true centre", "middle")
    },
}


class Known(nn.Module):
    """A detector that finds what it was given."""

    def __init__(self, found: KeyExpression) -> None:
        super().__init__()
        self.found = found

    def forward(self, clip: Tensor) -> KeyExpression:
        return self.found


def measure(run: Path, clips: int) -> dict[str, tuple[float, float]]:
    """Give WAR and cross-entropy of a run, by what its re-sampling is told."""
    source = Source.open(RunFolder(run))
    model, faces = source.loaded.model, source.clips("test")
    if not isinstance(model, RDFER) or model.detector is None or not isinstance(faces, SyntheticFaces):
        raise SystemExit(f"{run} is no run of RDFER with re-sampling on drawn faces")
    centres = (faces.truth["centre"] / faces.truth["frames"]).to_numpy(np.float32)
    rows = [row for row in range(len(faces)) if not math.isnan(centres[row])][:clips]
    found: dict[str, list[Tensor]] = {way: [] for way in WAYS}
    labels = []
    detector = model.detector
    with torch.inference_mode():
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            batch = collate([faces[row] for row in some])
            labels.append(batch.label)
            located, truth = detector(batch.clip), torch.from_numpy(centres[some])
            for way, say in WAYS.items():
                model.detector = Known(say(located, truth))
                found[way].append(model(batch.clip).logits)
    label = torch.cat(labels)
    logits = {way: torch.cat(parts) for way, parts in found.items()}
    return {
        way: (float((one.argmax(1) == label).float().mean()), float(F.cross_entropy(one, label)))
        for way, one in logits.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=400)
    given = parser.parse_args()
    torch.set_num_threads(1)
    measured = [measure(run, given.clips) for run in given.runs]
    print("## What knowing the key expression's centre is worth\n\n```bash")
    print("python benchmarks/key_expression.py", *given.runs)
    print("```\n\n| where frames are taken | WAR % | cross-entropy |\n|---|---:|---:|")
    for way in WAYS:
        war, loss = np.mean([one[way] for one in measured], axis=0)
        print(f"| {way} | {100 * war:.1f} | {loss:.3f} |")
    print(f"\nMean of {len(measured)} runs, on test clips that show an expression.", end=" ")
    print("Strides are in frames of the dense clip's 64.")


if __name__ == "__main__":
    main()
