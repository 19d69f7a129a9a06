"""``dfer quickstart``: from nothing to the report of a trained video model, in minutes on a CPU."""

import json
import shutil
import time
from pathlib import Path

from dfer.errors import InputError
from dfer.evaluation import print_figures
from dfer.experiments.run import run
from dfer.runs import RunFolder, write_atomically

RECIPE = "synthetic/quickstart"


def quickstart(*, out: Path = Path("runs/quickstart"), seed: int = 0) -> int:
    """Draw faces, train a small 3-D model on them, measure it on people it never saw, write the report.

    Leaves ``metrics.json`` (war, uar, ece, nll, brier as fractions; seconds) and ``report.html`` in ``out``.

    Args:
        out: the run folder; an earlier quickstart there is replaced, anything else is left alone.
        seed: of the drawn clips, the weights and the order.

    Raises:
        InputError: ``out`` holds something that is not an earlier quickstart.
    """
    start = time.monotonic()
    _clear(out)
    folder = run([RECIPE, "--seed_everything", str(seed)], out)
    found = json.loads(folder.evaluation.read_text())
    metrics = {name: found["metrics"][name] for name in ("war", "uar", "ece", "nll", "brier")}
    metrics["seconds"] = round(time.monotonic() - start, 1)
    write_atomically(out / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    print_figures(found)
    print(f"metrics: {out / 'metrics.json'}\nreport:  {folder.report.resolve()}")
    return 0


def _clear(out: Path) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        recipe = RunFolder(out).read_manifest().get("recipe")
    except InputError:
        recipe = None
    if recipe != RECIPE:
        raise InputError(f"{out} holds something else than an earlier quickstart; choose another folder with --out")
    shutil.rmtree(out)
