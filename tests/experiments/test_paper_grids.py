"""The papers' tables as packaged grids: each row of each is built and makes steps, on drawn and on DFEW's layout."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from dfer.backbones.x3d import X3D
from dfer.experiments.budget import BUDGETS
from dfer.experiments.declaration import Row, grid_names, load_grid
from dfer.experiments.plan import plan, resolve
from dfer.models import RDFER
from dfer.reweight import AgreementReweighting
from dfer.training.fit import build
from dfer.types import Batch, Output

PAPERS = [name for name in grid_names() if "/" not in name]
DATASETS = ("synthetic", "dfew")
ROWS = [
    pytest.param(name, dataset, row, id=f"{name}-{dataset}-{row.name}")
    for name in PAPERS
    for dataset in DATASETS
    for row in load_grid(name, dataset).rows
    if not row.published_only and row.predictions == "test"
] + [
    pytest.param(name, "synthetic", row, id=f"{name}-{row.name}")
    for name in grid_names()
    if name.startswith(("synthetic/hdf_", "synthetic/rdfer_", "synthetic/m3dfel_"))
    for row in load_grid(name).rows
]

# of `planted`'s four clips: the least agreed on with the smallest loss, the most agreed on with the largest, two others
WEIGHTS = {
    "vanilla cross-entropy": [1, 1, 1, 1],
    "big-loss strengthening": [1, 1.5, 1, 1],
    "big-loss weakening": [1, 0, 1, 1],
    "hard sample strengthening": [1.5, 1, 1, 1],
    "noisy sample weakening": [1, 0, 1, 1],
    "5 % wrong, cross-entropy alone": [1, 1, 1, 1],
    "10 % wrong, cross-entropy alone": [1, 1, 1, 1],
    "20 % wrong, cross-entropy alone": [1, 1, 1, 1],
}


def test_there_are_papers_tables() -> None:
    hdf_rdfer = {"hdf-3", "hdf-4", "rdfer-3", "rdfer-4", "rdfer-6"}
    assert {f"safe-{number}" for number in (3, 4, 5, 6, 7)} | hdf_rdfer <= set(PAPERS)
    assert len(ROWS) > 120


@pytest.fixture(scope="module", autouse=True)
def _drawn_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep drawn clips for the next row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def planted(reweight: AgreementReweighting, rows: list[int]) -> None:
    """Record every clip as if an epoch were over, so that the verdicts of these four are known."""
    others = sorted(set(range(reweight.num_samples or 0)) - set(rows))
    half = len(others) // 2
    reweight.record(others, [0.5] * half + [1.0] * (len(others) - half), [1.0] * len(others))
    reweight.record(rows, [0.25, 1.0, 0.75, 0.75], [0.0, 5.0, 0.01, 0.01])
    reweight.warmup_epochs = 0
    reweight.end_epoch()


@pytest.mark.parametrize(("name", "dataset", "row"), ROWS)
def test_a_row_makes_steps(name: str, dataset: str, row: Row, drawn_tree: Callable[[str], Path]) -> None:
    extra = ["--model.model.backbone.weights=none", "--data.batch_size=4", "--data.workers=0"]
    extra += ["--model.model.backbone.width=0.125", "--model.model.size=32"]
    if dataset == "synthetic":
        extra += ["--data.dataset.clips=28"]
    else:
        extra += [f"--data.root={drawn_tree('dfew')}"]
    module, data = build([row.recipe, *row.arguments, *extra])
    data.open(module.input_spec, 0, module.mix)
    module.bind(data.train_set)
    batch = next(iter(data.train_dataloader()))
    if module.mix is not None:
        batch = batch._replace(clip=module.mix(batch.clip, batch.label))
    before = [value.detach().clone() for value in module.parameters()]
    optimizer = module.optimizer(module.parameters())
    losses, seen = [], []
    weight = [1, 1, 1, 1]
    if module.reweight is not None:
        planted(module.reweight, batch.row.tolist())
        weight = WEIGHTS.get(row.name, [1.5, 0, 1, 1])

    def watch(loss: torch.nn.Module, given: tuple[Output, Batch]) -> None:
        seen.append(given[1].weight.tolist())

    module.loss.register_forward_pre_hook(watch)
    module.on_train_epoch_start()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses.append(module.training_step(batch, 0))
        losses[-1].backward()
        return losses[-1]

    # In the first step X3D's blocks still pass their input on, and RDFER's detector gives the same whatever it sees.
    steps = 2 if isinstance(module.model.backbone, X3D) or isinstance(module.model, RDFER) else 1
    for _ in range(steps):
        module.on_train_batch_start(batch, 0)
        optimizer.step(closure)
    assert torch.isfinite(torch.stack(losses)).all()
    assert len(losses) == steps * getattr(optimizer, "passes", 1)
    assert seen == [weight] * len(losses)
    assert sum(not torch.equal(a, b) for a, b in zip(before, module.parameters())) > 0.9 * len(before)


@cache
def resolved(arguments: tuple[str, ...]) -> Mapping[str, Any]:
    return resolve(arguments)


@cache
def keys(name: str, budget: str = "small") -> dict[str, str]:
    """Plan a grid; give what the run of each row is known by."""
    extra = ["--model.model.backbone.weights=none"]
    planned = plan(
        *(load_grid(name), BUDGETS[budget], Path("runs")),
        seeds=1,
        extra=extra,
        resolve=lambda arguments: resolved(tuple(arguments)),
    )
    return {run.row: run.key for run in planned.runs}


# That every row can be built at the size of the budget `smoke` is tested above.
@pytest.mark.parametrize(
    ("name", "budget"),
    [(name, "small") for name in PAPERS] + [(name, "smoke") for name in ("safe-3", "hdf-3", "rdfer-3")],
)
def test_every_budget_fits_every_row(name: str, budget: str) -> None:
    assert set(keys(name, budget)) == {row.name for row in load_grid(name).rows if not row.published_only}


def different(*names: str) -> int:
    return len({key for name in names for key in keys(name).values()})


def test_rows_that_the_paper_has_twice_share_their_run() -> None:
    whole = keys("safe-3")["e TAM"]
    assert keys("safe-4")["h TAM, S2AM2, ACL"] == keys("safe-5")["top-1"] == keys("safe-6")["d CAL and FCL"] == whole
    assert keys("safe-7")["SAFE"] == keys("safe-7")["SAFE, noise"] == whole
    assert keys("safe-3")["a none"] == keys("safe-4")["g S2AM2, ACL"] == keys("safe-7")["without TAM"]
    assert keys("safe-4")["e TAM, S2AM2"] == keys("safe-6")["a neither"]
    assert different("safe-3", "safe-4", "safe-5", "safe-6", "safe-7") == 15


def test_rows_of_hdf_that_the_paper_has_twice_share_their_run() -> None:
    whole = keys("hdf-3")["d DAM and DSM"]
    assert keys("hdf-3")["c DSM"] == keys("hdf-4")["a neither"] == keys("synthetic/hdf_stages")["no DAM"]
    assert keys("hdf-4")["d frequency and time"] == keys("synthetic/hdf_stages")["stage 4"] == whole
    assert keys("synthetic/hdf_kernels")["tempered, eta 0.2, the paper"] == whole
    assert different("hdf-3", "hdf-4", "synthetic/hdf_kernels", "synthetic/hdf_stages") == 16


def test_rows_of_rdfer_that_the_paper_has_twice_share_their_run() -> None:
    whole, plain = keys("rdfer-3")["RDFER"], keys("rdfer-4")["vanilla cross-entropy"]
    assert keys("rdfer-4")["hard and noisy sample reweighting"] == whole
    assert keys("synthetic/rdfer_noise")["10 % wrong"] == whole
    assert keys("synthetic/rdfer_noise")["10 % wrong, cross-entropy alone"] == plain
    assert different("rdfer-3", "rdfer-4", "synthetic/rdfer_noise") == 14
