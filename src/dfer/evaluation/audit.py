"""``dfer audit``: which training clips to look at, because their labels may be wrong or because they are hard."""

from pathlib import Path
from typing import Any, Final

from dfer.errors import InputError
from dfer.evaluation.audit_page import KINDS, verdict_counts, write_audit_page
from dfer.evaluation.predict import check_loading
from dfer.evaluation.suspicion import Audit, audit_run
from dfer.evaluation.tabular import Format, Tabular, written
from dfer.reweight.ranks import check_fractions
from dfer.runs import RunFolder

SHOWN: Final = 10
"""Clips that the terminal lists."""


def audit(
    runs: list[Path],
    *,
    data: Path | None = None,
    top: int = 100,
    hard_fraction: float = 0.2,
    noisy_fraction: float = 0.1,
    batch_size: int = 32,
    workers: int = 2,
    truth: bool = False,
    title: list[str] | None = None,
    format: Format = "terminal",
) -> int:
    """List a run's training clips, those whose labels may be wrong first.

    The best model predicts every training clip, held-out ones too. Hard is a clip whose parts it cannot agree on, noisy
    one on which they agree but the loss is large. Leaves ``audit.csv``, ``audit.html`` and the predictions in the run's
    folder; a second call predicts nothing anew.

    Args:
        runs: run folders.
        data: where the data lie now, if they moved.
        top: clips on the page, of the most suspicious and of the hardest each.
        hard_fraction: largest share of the training clips that are hard.
        noisy_fraction: share of the training clips that are noisy.
        batch_size: clips at once.
        workers: loader processes.
        truth: of drawn faces: measure the verdicts against the labels that are truly wrong; the list and the page in
            the run's folder stay as they are; runs that differ in their seed alone are averaged.
        title: with ``--truth``: what to call each of the settings, in their order.
        format: with ``--truth``: of what is printed.
    """
    if not runs:
        raise InputError("no run given; `dfer audit runs/NAME`")
    if top < 1:
        raise InputError(f"--top {top}; give at least 1")
    if not truth and (format != "terminal" or title):
        raise InputError(
            "--format and --title are for --truth; the list of all clips is audit.csv, in the run's folder"
        )
    fractions = hard_fraction, noisy_fraction
    try:
        check_fractions(*fractions)
    except ValueError as error:
        raise InputError(str(error)) from error
    check_loading(batch_size, workers)
    loading: dict[str, int] = {"batch_size": batch_size, "workers": workers}
    found = []
    for path in runs:
        one = audit_run(RunFolder(path), fractions=fractions, data=data, write=not truth, **loading)
        if truth:
            found.append(one)
            continue
        model = one.source.loaded.model
        write_audit_page(one.run, one.table, one.predictions, one.clips, top, model=model, fractions=fractions)
        print_audit(one)
    if truth:
        from dfer.evaluation.known_truth import truth_text

        given = {"--data": (data, None), "--hard-fraction": (hard_fraction, 0.2)}
        given["--noisy-fraction"] = (noisy_fraction, 0.1)
        options = [part for name, (value, usual) in given.items() if value != usual for part in (name, str(value))]
        print(truth_text(found, title or (), format, options=options, **loading), end="")
    return 0


def print_audit(found: Audit) -> None:
    """Print how many clips of each class are noisy and hard, and the most suspicious ones."""
    table = found.table
    clips = len(table)
    counts = table["verdict"].value_counts()
    shares = [f"{counts.get(kind, 0)} {kind} ({100 * counts.get(kind, 0) / clips:.1f} %)" for kind in KINDS]
    print(f"{found.run.path}\n{clips} training clips, {table['held_out'].sum()} of them held out: {', '.join(shares)}")
    if (state := found.source.manifest.get("state")) != "finished":
        print(f"training is not over (state: {state}); this is the best model so far")
    rows = verdict_counts(table, found.predictions.labels)
    first = table.head(SHOWN)
    listed: list[list[Any]] = first[["clip_id", "label", "prediction", "verdict", "agreement", "loss"]].values.tolist()
    headers = ["clip", "label", "prediction", "verdict", "agreement", "loss"]
    tables = [
        Tabular("classes", "By label", ["label", "clips", *KINDS], rows),
        Tabular("suspicious", f"The {len(first)} most suspicious clips", headers, listed),
    ]
    print(written(tables, "terminal", title=""), end="")
    print(f"all clips: {found.run.audit}\nfilm strips: {found.run.audit_page}")
