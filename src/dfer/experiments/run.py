"""One experiment from recipe to report."""

from collections.abc import Sequence
from pathlib import Path

from dfer.evaluation import evaluate_run
from dfer.runs import RunFolder


def run(arguments: Sequence[str], out: Path, *, resume: bool = False, init: Path | None = None) -> RunFolder:
    """Train what the arguments say, measure it on the test clips, write its report.

    Args:
        arguments: a recipe's name or file, then options such as ``--data.root DIR``.
        out: the run folder.
        resume: go on where an interrupted run stopped.
        init: a checkpoint or run folder of ours to start from.
    """
    from dfer.training.fit import fit  # Lightning takes seconds to import

    folder = fit(list(arguments), out=out, resume=resume, init=init)
    evaluate_run(folder)
    return folder
