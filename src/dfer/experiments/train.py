"""``dfer train``: one recipe, one or several folds."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dfer.errors import InputError
from dfer.evaluation import print_figures
from dfer.evaluation.evaluate import evaluate
from dfer.experiments.run import run
from dfer.runs import RunFolder


def parse_folds(folds: str) -> list[int]:
    """Read ``3``, ``1-5`` or ``1,3,5``.

    Raises:
        InputError: anything else.

    Example:
        >>> parse_folds("1-3,5")
        [1, 2, 3, 5]
    """
    numbers: list[int] = []
    for part in folds.split(","):
        first, _, last = part.partition("-")
        try:
            numbers += range(int(first), int(last or first) + 1)
        except ValueError:
            raise InputError(f"--folds {folds!r} is no list of folds; write 3, 1-5 or 1,3,5") from None
    if not numbers or min(numbers) < 1 or len(set(numbers)) < len(numbers):
        raise InputError(f"--folds {folds!r} names no fold, one below 1, or one twice; write 3, 1-5 or 1,3,5")
    return numbers


def train(
    recipe: str,
    *options: Annotated[str, Parameter(allow_leading_hyphen=True)],
    folds: str | None = None,
    out: Path | None = None,
    resume: bool = False,
    init: Path | None = None,
) -> int:
    """Train, evaluate and report a recipe.

    Args:
        recipe: a packaged recipe such as ``dfew/baseline``, or a YAML file.
        options: any setting of the recipe, such as ``--data.root DIR``, ``--trainer.max_epochs 5``.
        folds: train these folds, one run each, and pool them: ``1-5``.
        out: the run folder (one per fold below it with ``--folds``); ``runs/RECIPE`` unless given.
        resume: go on where an interrupted run stopped.
        init: start from the weights of a checkpoint or run of ours; other labels get a new classifier.
    """
    out = out or Path("runs") / Path(recipe).with_suffix("").as_posix().strip("./").replace("/", "-")
    if folds is None:
        folder = run([recipe, *options], out, resume=resume, init=init)
        print_figures(json.loads(folder.evaluation.read_text()))
        print(f"report: {folder.report}")
        return 0
    numbers = parse_folds(folds)
    _open_fold([recipe, *options], max(numbers))
    done = []
    for fold in numbers:
        arguments = [recipe, *options, "--data.dataset.fold", str(fold)]
        folder = RunFolder(out / f"fold-{fold}")
        begun = resume and folder.manifest.is_file()  # a fold that was never started is no error
        done.append(run(arguments, folder.path, resume=begun, init=init).path)
    return evaluate(done)


def _open_fold(arguments: list[str], fold: int) -> None:
    """Open the data of a fold, so that one that does not exist is refused before others are trained for days."""
    from dfer.training.configuration import configure  # Lightning takes seconds to import

    configured = configure([*arguments, "--data.dataset.fold", str(fold)])
    configured.data.open(configured.module.input_spec, configured.seed, configured.module.mix)
