"""``dfer figures``."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from dfer.cli import main
from dfer.evaluation import landscape
from dfer.evaluation.agreement import agreement_of
from dfer.evaluation.pictures import run_figures
from dfer.predictions import Predictions
from dfer.runs import RunFolder


def test_draws_all_figures_of_a_run(finished: RunFolder, tmp_path: Path) -> None:
    assert main(["figures", str(finished.path), "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{name}.{kind}" for name in ("confusion", "reliability", "curves", "loss") for kind in ("svg", "pdf")
    }


def test_draws_one(finished: RunFolder, tmp_path: Path) -> None:
    assert main(["figures", str(finished.path), "--name", "confusion", "--out", str(tmp_path)]) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_an_unknown_figure_lists_the_known(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", str(finished.path), "--name", "confusoin"]) == 2
    assert "confusion, reliability, curves, loss" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--name", "confusion", "--beside", "OWN"], "confusion shows one run; --beside is for --name embedding"),
        (["--beside", "OWN"], "confusion, reliability, curves, loss shows one run"),
        (["--name", "embedding", "--beside", "nowhere"], "nowhere"),
        (["--name", "embedding", "--beside", "OWN", "--title", "a"], "1 titles for 2 runs"),
        (["--name", "heatmap", "--clip", "nobody"], "no test clip nobody; ids are such as"),
        (["--name", "landscape", "--data", "nowhere"], "nowhere"),
        (["--name", "agreement_samples"], "run: this model predicts whole videos only"),
        (["--name", "agreement_embedding", "--beside", "OWN"], "agreement_embedding shows one run"),
        (["--name", "landscap"], "there are confusion, reliability, curves, loss, embedding, heatmap, landscape"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], message: str, finished: RunFolder, own_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(own_run.path) if word == "OWN" else word for word in options]
    assert main(["figures", str(finished.path), *words]) == 2
    shown = capsys.readouterr().err.strip()
    assert message in shown
    assert len(shown.splitlines()) == 1


def test_a_run_without_predictions_says_what_to_run(own_run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    own_run.predictions().unlink()
    assert main(["figures", str(own_run.path), "--name", "embedding"]) == 2
    assert "run `dfer evaluate`" in capsys.readouterr().err


def test_embeddings_beside_each_other(finished: RunFolder, own_run: RunFolder, tmp_path: Path) -> None:
    three = ["--beside", str(own_run.path), "--beside", str(finished.path)]
    titles = ["--title", "plain", "--title", "+ DAM", "--title", "+ DSM"]
    out = ["--out", str(tmp_path / "figures")]
    assert main(["figures", str(finished.path), "--name", "embedding", *three, *titles, *out]) == 0
    drawn = (tmp_path / "figures" / "embedding.svg").read_text()
    assert all(title in drawn for title in ("plain", "+ DAM", "+ DSM", "happy", "sad", "angry"))


def test_heatmaps_of_chosen_clips_and_of_clips_asked_for(
    finished: RunFolder, own_run: RunFolder, tmp_path: Path
) -> None:
    ids = Predictions.load(finished.predictions()).clip_id
    asked = ["--clip", str(ids[4]), "--clip", str(ids[1])]
    where = ["--beside", str(own_run.path), "--title", "AdamW", "--title", "DSM", "--out", str(tmp_path)]
    assert main(["figures", str(finished.path), "--name", "heatmap", *where, *asked]) == 0
    drawn = (tmp_path / "heatmap.svg").read_text()
    assert all(text in drawn for text in (f"({ids[4]})", f"({ids[1]})", "Grad-CAM for the true class, stage 2"))
    assert drawn.index(">AdamW<") < drawn.index(">DSM<")
    assert main(["figures", str(finished.path), "--name", "heatmap", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "heatmap.svg").read_text().count("unsure: ") == 3


def test_heatmaps_of_models_for_other_clips_are_refused(
    finished: RunFolder,
    fit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    other = fit("longer", "--model.model.frames", "6", "--trainer.max_epochs", "1")
    Predictions.load(finished.predictions()).save(other.predictions())
    manifest = other.read_manifest()
    manifest["data"]["description"] = finished.read_manifest()["data"]["description"]
    other.write_manifest(manifest)
    assert main(["figures", str(finished.path), "--name", "heatmap", "--beside", str(other.path)]) == 2
    assert "longer takes 6 frames of 32 pixels, run 4 of 32" in capsys.readouterr().err


def test_loss_surfaces_beside_each_other(
    finished: RunFolder, own_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    real = landscape.surface

    def quick(*given, **more):  # type: ignore[no-untyped-def]
        coordinates, losses = real(*given, **more, steps=3)
        seen.append(losses)
        return coordinates, losses

    monkeypatch.setattr(landscape, "surface", quick)
    where = ["--beside", str(own_run.path), "--title", "AdamW", "--title", "DSM", "--out", str(tmp_path)]
    assert main(["figures", str(finished.path), "--name", "landscape", *where]) == 0
    np.testing.assert_array_equal(*seen)  # the same run twice
    with np.load(tmp_path / "landscape.npz") as numbers:
        assert numbers["names"].tolist() == ["AdamW", "DSM"]
        np.testing.assert_array_equal(numbers["losses"], seen)
        np.testing.assert_allclose(numbers["coordinates"], [-1, 0, 1])
    drawn = (tmp_path / "landscape.svg").read_text()
    assert all(f"{name} ({seen[0][1, 1]:.2f})" in drawn for name in ("AdamW", "DSM"))


def test_diagnostics_are_drawn_where_a_run_wrote_them(own_run: RunFolder) -> None:
    assert "scaling" not in run_figures(own_run)
    rows = list(csv.DictReader(own_run.metrics.read_text().splitlines()))
    for epoch, row in enumerate(rows):
        row |= {"train_lambda_ce": "0.6", "train_lambda_sc": "0.4", "train_grad_norm": str(0.1**epoch)}
        row |= {"train_between_class_cosine": "", "train_trace": "" if epoch == 1 else "2.5"}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    own_run.metrics.write_text(text.getvalue())
    weight, norm, trace, _ = run_figures(own_run)["scaling"]().axes
    assert [axes.get_title() for axes in (weight, norm, trace)] == ["weight of the loss", "gradient norm", "trace"]
    np.testing.assert_allclose([line.get_ydata()[0] for line in weight.lines], [0.6, 0.4])
    assert norm.get_yscale() == "log"
    np.testing.assert_allclose(trace.lines[0].get_ydata(), [2.5, np.nan, 2.5])


def test_a_sheet_of_drawn_faces(tmp_path: Path) -> None:
    assert main(["figures", "synthetic/easy", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "mix.jpg").read_bytes().startswith(b"\xff\xd8")


def test_clips_by_agreement(own_parted: RunFolder, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "drawn")]
    names = ["--name", "agreement_samples", "--name", "agreement_embedding"]
    assert main(["figures", str(own_parted.path), *names, *out]) == 0
    files = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert files == ["agreement_embedding.pdf", "agreement_embedding.svg", "agreement_samples.png"]
    share = agreement_of(Predictions.load(own_parted.predictions()))
    drawn = (tmp_path / "drawn" / "agreement_embedding.svg").read_text()
    for level in set(share.tolist()):
        assert f"agreement {level:.2f} ({(share == level).sum()} clip" in drawn


def test_nothing_stands_beside_a_sheet(finished: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "synthetic/easy", "--beside", str(finished.path)]) == 2
    assert "synthetic/easy is none" in capsys.readouterr().err
    assert main(["figures", "synthetic/easy", "--name", "embedding"]) == 2
    assert "there are samples, mix" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["synthetic/hard", "nowhere"])
def test_an_unknown_source_is_one_line(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", source]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
