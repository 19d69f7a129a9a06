"""Reweighting whose shares of hard and of noisy clips are nothing."""

import csv
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from dfer.runs import RunFolder


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


REWEIGHT = (
    *("--model.model.window", "1"),
    *("--model.loss.label_smoothing", "0.1"),
    *("--model.reweight", "dfer.reweight.AgreementReweighting"),
)


def test_shares_of_nothing_are_as_off(fit: Callable[..., RunFolder]) -> None:
    """From the first epoch on, under any ranks."""
    shares = ("--model.reweight.hard_fraction", "0", "--model.reweight.noisy_fraction", "0")
    off = fit("off", *REWEIGHT, "--model.reweight", "null")
    nothing = fit("nothing", *REWEIGHT, "--model.reweight.warmup_epochs", "0", *shares)
    for name in ("last", "best"):
        wanted, found = load_file(off.checkpoint(name)), load_file(nothing.checkpoint(name))
        assert wanted.keys() == found.keys()
        assert all(torch.equal(value, found[key]) for key, value in wanted.items())
    wanted_rows, found_rows = (rows_of(run.metrics) for run in (off, nothing))
    for wanted_row, found_row in zip(wanted_rows, found_rows, strict=True):
        same = wanted_row.keys() - {"seconds"}
        assert {"train_loss", "train_war"} <= same
        assert {key: found_row[key] for key in same} == {key: wanted_row[key] for key in same}
    assert {row["verdict"] for row in rows_of(nothing.agreement)} == {"ordinary"}
