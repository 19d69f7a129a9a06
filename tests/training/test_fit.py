"""From a recipe to a run folder, and every way in which that can go wrong."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dfer.cli import main
from dfer.datasets.packed.command import cache
from dfer.datasets.synthetic.mark import mark_drawn
from dfer.errors import InputError
from dfer.models import checkpoint
from dfer.runs import RunFolder

Fit = Callable[..., RunFolder]


def test_a_run_folder_is_whole(finished: RunFolder) -> None:
    run = finished
    manifest = run.read_manifest()
    assert manifest["state"] == "finished"
    assert manifest["epochs"] == 3
    assert manifest["protocol"] == "held-out"
    assert manifest["data"]["held_out_clips"] == 3
    assert manifest["data"]["train_clips"] == 27
    assert manifest["data"]["class_counts"] == {"happy": 10, "sad": 10, "angry": 10}
    rows = list(csv.DictReader(run.metrics.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[-1]["lr"]) == pytest.approx(5e-6)
    assert list((run.path / "tensorboard").iterdir())
    loaded = checkpoint.load(run.checkpoint("best"))
    assert loaded.input_spec.labels == ("happy", "sad", "angry")
    assert loaded.about["epoch"] == manifest["best"]["war"]["epoch"]
    assert max(float(row["held_out_war"]) for row in rows) == manifest["best"]["war"]["value"]


def test_the_saved_configuration_trains_the_same_again(finished: RunFolder, tmp_path: Path) -> None:
    from dfer.training.fit import fit as real

    again = real([str(finished.config)], out=tmp_path / "again")
    assert same(weights(finished), weights(again))


def test_a_run_says_what_its_training_clips_are_read_from(
    finished: RunFolder, fit: Fit, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """36 pixels are enough: of crops of four fifths of the area 32 a side are left."""
    assert finished.read_manifest()["data"]["reads"] == "originals"
    assert cache("folder", clips, size=36) == 0
    manifest = fit("a", "--trainer.max_epochs", "1").read_manifest()
    assert manifest["data"]["reads"] == "packed, 36 px, JPEG"
    assert capsys.readouterr().err.count("training clips are read from: packed, 36 px, JPEG\n") == 1


@pytest.mark.parametrize("stopped_after", [1, 2])
def test_resume_is_exact(finished: RunFolder, fit: Fit, monkeypatch: pytest.MonkeyPatch, stopped_after: int) -> None:
    stop_after(monkeypatch, stopped_after)
    with pytest.raises(ZeroDivisionError):
        fit("stopped")
    monkeypatch.undo()
    resumed = fit("stopped", resume=True)
    assert same(weights(finished), weights(resumed))
    strip = ["seconds"]
    rows = [
        [
            {k: v for k, v in row.items() if k not in strip}
            for row in csv.DictReader(run.metrics.read_text().splitlines())
        ]
        for run in (finished, resumed)
    ]
    assert rows[0] == rows[1]
    assert resumed.read_manifest()["state"] == "finished"


MIX = (
    *("--model.mix", "dfer.transforms.ClipMix"),
    *("--model.mix.block_size", "8"),
    *("--model.mix.ratio", "1.0"),
)


@pytest.mark.parametrize("partners", ["batch", "dataset"])
def test_resume_of_mixing_and_of_a_loss_with_parameters_is_exact(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, partners: str
) -> None:
    more = [*MIX, "--model.mix.partners", partners, "--model.loss", "dfer.losses.AmbiguityCalibrationLoss"]
    more += ["--model.loss.logit_weight", "1.0", "--trainer.max_epochs", "2"]
    whole = fit("whole", *more)
    stop_after(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError):
        fit("stopped", *more)
    monkeypatch.undo()
    resumed = fit("stopped", *more, resume=True)
    assert same(weights(whole), weights(resumed))
    theta = [torch.load(run.resume_state, weights_only=True)["state_dict"]["loss.theta"] for run in (whole, resumed)]
    assert torch.equal(*theta)
    assert theta[0].abs().max() > 0


def test_mixing_and_its_partners_change_the_training_but_workers_do_not(fit: Fit) -> None:
    end = ("--trainer.max_epochs", "2")
    plain = weights(fit("plain", *end))
    batch, dataset = (weights(fit(name, *MIX, "--model.mix.partners", name, *end)) for name in ("batch", "dataset"))
    assert not same(plain, batch)
    assert not same(batch, dataset)
    for name, alone in (("batch", batch), ("dataset", dataset)):
        workers = ("--data.workers", "2")
        assert same(alone, weights(fit(f"{name}-2", *MIX, "--model.mix.partners", name, *end, *workers)))


def test_blocks_that_do_not_tile_the_frame_are_one_line(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [*MIX, "--model.mix.block_size", "12"]
    assert main(["train", *options, *wrong, "--out", str(tmp_path / "a")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "32 x 32" in line
    assert "12" in line


def test_resume_without_the_random_state_is_not_exact(
    finished: RunFolder, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: it can fail."""
    from dfer.training import callbacks

    stop_after(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError):
        fit("stopped")
    monkeypatch.undo()
    monkeypatch.setattr(callbacks, "set_random_state", lambda state: None)
    assert not same(weights(finished), weights(fit("stopped", resume=True)))


def test_resume_of_a_finished_run_changes_nothing(own_run: RunFolder) -> None:
    from dfer.training.fit import fit as real

    before = weights(own_run)
    assert same(before, weights(real([str(own_run.config)], out=own_run.path, resume=True)))


def test_workers_change_nothing(finished: RunFolder, fit: Fit) -> None:
    assert same(weights(finished), weights(fit("b", "--data.workers", "2")))


def test_the_paper_protocol_chooses_on_the_test_clips(fit: Fit) -> None:
    run = fit("a", "--data.protocol", "paper")
    manifest = run.read_manifest()
    rows = list(csv.DictReader(run.metrics.read_text().splitlines()))
    for name, file in (("war", "best"), ("uar", "best-uar")):
        values = [float(row[f"test_{name}"]) for row in rows]
        assert manifest["best"][name]["epoch"] == values.index(max(values))
        assert checkpoint.load(run.checkpoint(file)).about["epoch"] == manifest["best"][name]["epoch"]
    assert manifest["data"]["held_out_rows"] is None
    assert manifest["data"]["train_clips"] == 30


def test_fine_tuning_on_other_labels_says_so(
    finished: RunFolder, fit: Fit, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        (clips / split / "angry").rename(clips / split / "disgust")
    second = fit("second", "--trainer.max_epochs", "1", init=finished.path)
    assert "fresh disgust" in capsys.readouterr().err
    assert checkpoint.load(second.checkpoint()).input_spec.labels == ("happy", "sad", "disgust")


def test_fine_tuning_of_another_size_is_refused(finished: RunFolder, fit: Fit) -> None:
    with pytest.raises(InputError, match=r"4 frames of 32 pixels, the recipe 4 of 40"):
        fit("second", "--model.model.size", "40", init=finished.path)


def test_a_loss_that_is_not_finite_names_its_clips(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"loss became .* on the clips .*(happy|sad|angry)-\d"):
        fit("a", "--model.optimizer.lr", "1e30", "--model.warmup_epochs", "0")
    manifest = RunFolder(tmp_path / "runs" / "a").read_manifest()
    assert manifest["state"] == "failed"
    assert "not finite" in manifest["error"] or "became" in manifest["error"]


def test_weights_that_break_in_the_last_step_name_the_clips_that_showed_it(fit: Fit) -> None:
    """The only training step has a finite loss; what it did to the weights shows in validation."""
    broken = ("--data.batch_size", "64", "--model.optimizer.lr", "1e30", "--model.warmup_epochs", "0")
    with pytest.raises(
        InputError, match=r"loss became nan in epoch 0, validation, on the clips .*(happy|sad|angry)-\d"
    ):
        fit("a", *broken, "--trainer.max_epochs", "1")


def test_a_second_run_in_the_same_folder_is_refused(own_run: RunFolder) -> None:
    from dfer.training.fit import fit as real

    with pytest.raises(InputError, match=r"already holds a run \(finished\).*--resume"):
        real([str(own_run.config)], out=own_run.path)


def test_resume_with_other_settings_is_refused(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError):
        fit("a")
    monkeypatch.undo()
    with pytest.raises(InputError, match="other settings"):
        fit("a", "--model.min_lr", "1e-4", resume=True)
    # Every line of [1.0, 1.0] also stands in [0.8, 1.0]: lines cannot tell them apart.
    with pytest.raises(InputError, match=r"data\.crop_scale was \[0\.8, 1\.0\], now \[1\.0, 1\.0\]"):
        fit("a", "--data.crop_scale", "[1.0, 1.0]", resume=True)


def test_resume_of_fine_tuning_needs_the_source_no_more(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source is wider than the recipe's model: the run goes on with the source's."""
    source = fit("source", "--model.model.backbone.width", "0.25", "--trainer.max_epochs", "1")
    two = ("--trainer.max_epochs", "2")
    whole = fit("whole", *two, init=source.path)
    assert whole.read_manifest()["init"] == str(source.path)
    assert checkpoint.load(whole.checkpoint()).about["init"] == str(source.path)
    stop_after(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError):
        fit("stopped", *two, init=source.path)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"was started from .*source, not .*whole"):
        fit("stopped", *two, resume=True, init=whole.path)
    source.path.rename(tmp_path / "gone")
    resumed = fit("stopped", *two, resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.read_manifest()["init"] == str(source.path)


def test_resume_from_a_damaged_state_is_refused(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_after(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError):
        fit("a")
    monkeypatch.undo()
    run = RunFolder(tmp_path / "runs" / "a")
    whole = run.resume_state.read_bytes()
    for left in (2000, 0):
        run.resume_state.write_bytes(whole[:left])
        with pytest.raises(InputError, match=r"resume\.ckpt is damaged"):
            fit("a", resume=True)


def test_resume_of_nothing_is_refused(fit: Fit) -> None:
    with pytest.raises(InputError, match="holds no run to resume"):
        fit("a", resume=True)


def test_an_unwritable_folder_is_an_error(options: list[str], tmp_path: Path) -> None:
    from dfer.training.fit import fit as real

    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        real(options, out=tmp_path / "file" / "run")
    with pytest.raises(InputError, match="is a file"):
        real(options, out=tmp_path / "file")


def test_a_disk_that_fills_up_is_an_error(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dfer.runs.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        fit("a")


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["--model.model.widht", "2"], "width"),
        (["--data.batchsize", "2"], "data.batch_size"),
        (["--model.optimizer.learning", "2"], "learning"),
        (["--data.batch_size", "many"], "batch_size"),
        (["--data.batch_size", "0"], "batch_size 0"),
        (["--data.protocol", "mine"], "held-out"),
        (["--model.model.window", "9"], "window 9"),
    ],
)
def test_a_wrong_option_is_one_line(
    options: list[str], more: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *options, *more]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert wanted in error


def test_an_unknown_recipe_lists_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dfew/baselin"]) == 2
    assert "dfew/baseline" in capsys.readouterr().err


def test_no_data_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dfew/baseline", "--model.model.backbone.weights", "none"]) == 2
    assert "--data.root" in capsys.readouterr().err


def test_fewer_clips_than_a_batch(fit: Fit) -> None:
    run = fit("a", "--data.batch_size", "64", "--trainer.max_epochs", "1")
    assert run.read_manifest()["state"] == "finished"


def test_a_batch_of_one(fit: Fit) -> None:
    run = fit("a", "--data.batch_size", "1", "--trainer.max_epochs", "1")
    assert run.read_manifest()["state"] == "finished"


@pytest.mark.parametrize("size", ["1", "26"])
def test_a_batch_of_one_value_per_channel_is_one_line(fit: Fit, size: str) -> None:
    """27 training clips: in batches of 26, one is left over."""
    with pytest.raises(InputError, match=r"a batch of one clip of 16 pixels .*--data\.batch_size"):
        fit("a", "--data.batch_size", size, "--model.model.size", "16", "--model.model.frames", "1")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_a_signal_leaves_a_usable_checkpoint(
    options: list[str], tmp_path: Path, number: int, status: int, workers: str
) -> None:
    """The signal goes to the whole process group, as from a terminal, ``timeout`` or a cluster: workers get it too."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "dfer.cli", "train", *options, "--trainer.max_epochs", "500", "--out", str(out)]
    command += ["--data.workers", workers]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits none
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "metrics.csv").is_file():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert "Traceback" not in error
    assert "interrupted" in error
    assert json.loads((out / "run.json").read_text())["state"] == "interrupted"
    checkpoint.load(RunFolder(out).checkpoint("last"))


@pytest.mark.slow
def test_resume_after_sigkill_is_exact(options: list[str], fit: Fit, tmp_path: Path) -> None:
    """No handler runs; what lies on disk must do. Workers die with the process that loads from them."""
    more = ["--trainer.max_epochs", "30"]
    out = tmp_path / "runs" / "killed"
    command = [sys.executable, "-m", "dfer.cli", "train", *options, *more, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not RunFolder(out).resume_state.is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.5)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert RunFolder(out).read_manifest()["state"] == "running"
    assert same(weights(fit("whole", *more)), weights(fit("killed", *more, resume=True)))


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoint("last"))


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Let training die, as killed, in the middle of the epoch after ``epochs`` whole ones."""
    from dfer.training.module import Recognition

    real = Recognition.training_step

    def step(self: Recognition, batch: object, batch_idx: int) -> object:
        if self.current_epoch == epochs and batch_idx == 1:
            raise ZeroDivisionError
        return real(self, batch, batch_idx)  # type: ignore[arg-type]

    monkeypatch.setattr(Recognition, "training_step", step)


def test_a_model_trained_on_drawn_clips_of_any_layout_says_so(finished: RunFolder, fit: Fit, clips: Path) -> None:
    assert finished.read_manifest()["data"]["drawn"] is False
    mark_drawn(clips, preset="easy")
    run = fit("drawn", "--trainer.max_epochs", "1")
    assert run.read_manifest()["data"]["drawn"] is True
    assert checkpoint.load(run.checkpoint()).about["data"]["drawn"] is True
