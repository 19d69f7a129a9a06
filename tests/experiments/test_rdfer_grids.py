"""RDFER's tables: between two rows nothing differs but what the paper's table compares."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from lightning.pytorch.cli import LightningCLI

from dfer.datasets.synthetic.knobs import PRESETS
from dfer.experiments.budget import BUDGETS
from dfer.experiments.declaration import load_grid
from dfer.experiments.plan import plan, resolve

Settings = dict[str, Any]
Resolved = Callable[[str, str], dict[str, Settings]]
Changes = dict[str, tuple[Any, Any]]

DATASETS = ("synthetic", "dfew")
MODEL = "model.model.init_args."
BACKBONE = f"{MODEL}backbone."
REWEIGHT = "model.reweight.init_args."
NOISE = "data.dataset.init_args.label_noise"

SWITCHES = {
    "without re-sampling": "resample",
    "without global summary": "summary",
    "without dual-stream architecture": "dual",
    "without hierarchical architecture": "hierarchical",
}
RANKS = {  # share of hard clips, of noisy ones, what is ranked
    "vanilla cross-entropy": (0.0, 0.0, "agreement"),
    "big-loss strengthening": (0.2, 0.0, "loss"),
    "big-loss weakening": (0.0, 0.1, "loss"),
    "hard sample strengthening": (0.2, 0.0, "agreement"),
    "noisy sample weakening": (0.0, 0.1, "agreement"),
    "hard and noisy sample reweighting": (0.2, 0.1, "agreement"),
}
BACKBONES = {  # weights on drawn faces alone and in the bag, pixels there, weights on DFEW
    "CNN-LSTM": ("resnet18_lstm", "runs/pretrain_frames", "runs/pretrain_frames", 96, "IMAGENET1K_V1"),
    "MC3-18": ("mc3_18", "runs/pretrain_mc3_clips", "runs/pretrain_mc3", 48, "KINETICS400_V1"),
    "R(2+1)D-18": ("r2plus1d_18", "runs/pretrain_r2plus1d_clips", "runs/pretrain_r2plus1d", 48, "KINETICS400_V1"),
    "R3D-18": ("r3d_18", "runs/pretrain_clips", "runs/pretrain", 48, "KINETICS400_V1"),
    "Former-DFER": ("former_dfer", "runs/pretrain_frames", "runs/pretrain_frames", 96, "IMAGENET1K_V1"),
}
LABELS = {  # share of wrong labels, of hard clips, of noisy ones
    "5 % wrong": (0.05, 0.2, 0.1),
    "10 % wrong": (None, 0.2, 0.1),  # the preset's
    "20 % wrong": (0.2, 0.2, 0.1),
    "5 % wrong, cross-entropy alone": (0.05, 0.0, 0.0),
    "10 % wrong, cross-entropy alone": (None, 0.0, 0.0),
    "20 % wrong, cross-entropy alone": (0.2, 0.0, 0.0),
}


def flat(config: Mapping[str, Any], prefix: str = "") -> Settings:
    found: Settings = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def build_nothing(cli: LightningCLI) -> None:
    """Let no weights be fetched: the settings are all that is looked at."""
    cli.model = cli.datamodule = None


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    """Resolve a table's rows as `dfer table` does: on drawn faces at the published budget, on DFEW as they stand."""
    store = tmp_path_factory.mktemp("store")
    parse = cache(lambda arguments: resolve(arguments))

    @cache
    def of(name: str, dataset: str) -> dict[str, Settings]:
        by_row: dict[str, Settings] = {}
        extra = [] if dataset == "synthetic" else ["--data.root=faces"]
        budget = BUDGETS["small" if dataset == "synthetic" else "paper"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LightningCLI, "instantiate_classes", build_nothing)
            runs = plan(
                load_grid(name, dataset) if "/" not in name else load_grid(name),
                budget,
                store,
                seeds=1,
                extra=extra,
                resolve=lambda arguments: parse(tuple(arguments)),
            ).runs
            for run in runs:
                assert run.arguments[-1] == "--seed_everything=0"
                by_row[run.row] = flat(parse(run.arguments[:-1]))
        return by_row

    return of


def changes(a: Settings, b: Settings) -> Changes:
    return {key: (a.get(key), b.get(key)) for key in a.keys() | b.keys() if a.get(key) != b.get(key)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_network_loses_one_part_at_a_time(resolved: Resolved, dataset: str) -> None:
    rows = resolved("rdfer-3", dataset)
    whole = rows["RDFER"]
    assert rows.keys() == {"RDFER", *SWITCHES}
    for name, switch in SWITCHES.items():
        assert changes(whole, rows[name]) == {MODEL + switch: (True, False)}
    assert whole["model.model.class_path"] == "dfer.models.RDFER"
    assert [whole[REWEIGHT + key] for key in ("hard_fraction", "noisy_fraction", "rank_by")] == [0.2, 0.1, "agreement"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_only_the_ranks_differ(resolved: Resolved, dataset: str) -> None:
    rows = resolved("rdfer-4", dataset)
    keys = [REWEIGHT + key for key in ("hard_fraction", "noisy_fraction", "rank_by")]
    assert {name: tuple(row[key] for key in keys) for name, row in rows.items()} == RANKS
    for row in rows.values():
        assert changes(rows["vanilla cross-entropy"], row).keys() <= set(keys)
        assert (row[f"{REWEIGHT}hard_weight"], row[f"{REWEIGHT}noisy_weight"]) == (1.5, 0.0)
        assert row["model.reweight.class_path"] == "dfer.reweight.AgreementReweighting"
    assert changes(rows["hard and noisy sample reweighting"], resolved("rdfer-3", dataset)["RDFER"]) == {}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_bag_differs_from_its_backbone_alone_in_being_one(resolved: Resolved, dataset: str) -> None:
    rows = resolved("rdfer-6", dataset)
    grid = load_grid("rdfer-6", dataset)
    compared = {row.name: row.baseline or grid.baseline for row in grid.rows}
    assert rows.keys() == {name + bag for name in BACKBONES for bag in ("", ", bag of four")}
    for name, (_, alone, bag, _, _) in BACKBONES.items():
        assert compared[f"{name}, bag of four"] == name
        expected: Changes = {
            "model.model.class_path": ("dfer.models.Recognizer", "dfer.models.M3DFEL"),
            f"{MODEL}instances": (None, 4),
            f"{MODEL}hidden_size": (None, 128 if dataset == "synthetic" else 512),
            f"{MODEL}heads": (None, 8),
        }
        if dataset == "synthetic" and alone != bag:
            expected[f"{BACKBONE}init_args.weights"] = (alone, bag)
        assert changes(rows[name], rows[f"{name}, bag of four"]) == expected


@pytest.mark.parametrize("dataset", DATASETS)
def test_only_the_backbones_differ(resolved: Resolved, dataset: str) -> None:
    rows = resolved("rdfer-6", dataset)
    keys = [f"{BACKBONE}class_path", f"{BACKBONE}init_args.weights", f"{MODEL}size"]
    for name, (backbone, alone, bag, size, published) in BACKBONES.items():
        for row, weights in ((name, alone), (f"{name}, bag of four", bag)):
            drawn = dataset == "synthetic"
            expected = [f"dfer.backbones.{backbone}", weights if drawn else published, size if drawn else 112]
            assert [rows[row][key] for key in keys] == expected
            assert changes(rows[row.replace(name, "R3D-18")], rows[row]).keys() <= set(keys)
    assert "model.reweight" not in {key[:14] for row in rows.values() for key in row if row[key] is not None}


def test_only_the_labels_and_the_shares_differ(resolved: Resolved) -> None:
    rows = resolved("synthetic/rdfer_noise", "synthetic")
    keys = [NOISE, f"{REWEIGHT}hard_fraction", f"{REWEIGHT}noisy_fraction"]
    assert {name: tuple(row.get(key) for key in keys) for name, row in rows.items()} == LABELS
    for row in rows.values():
        assert changes(rows["10 % wrong"], row).keys() <= set(keys)
        assert PRESETS[row["data.dataset.init_args.preset"]].label_noise == 0.1
    assert changes(rows["10 % wrong"], resolved("rdfer-3", "synthetic")["RDFER"]) == {}
