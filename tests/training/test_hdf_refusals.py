"""What HDF cannot be built or trained with ends in one line and status 2, before a run folder is made."""

from pathlib import Path

import pytest
import torch

from dfer.backbones import x3d_s
from dfer.cli import main

DAM_3 = '{"3": {"class_path": "dfer.modules.DAM", "init_args": {"channels": 64, "frames": 3}}}'
OTHER_FRAMES = ["--model.model.backbone.plugins", DAM_3]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--model.model.stages=[5]"], "stage 5; this backbone has the stages 1, 2, 3, 4"),
        (["--model.model.stages=[1]", "--model.model.backbone.width=0.0625"], "channels 4 for 16 frames"),
        (["--model.model.attention=other"], 'attention \'other\' is not known; give "self" or "conv"'),
        (OTHER_FRAMES, "(B, 64, 3, H, W), as this DAM was built for"),
        (["--model.loss.eta=0"], "eta 0.0 is not positive"),
        (["--model.loss.temperature=-1"], "temperature -1.0 is not positive"),
        (["--model.loss.kernel_on=gauss"], "'tempered', 'cosine', 'none'"),
        (["--model.loss.min_grad_norm=-1"], "min_grad_norm -1.0 must be finite and not negative"),
    ],
)
def test_in_one_line(options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--model.model.backbone.weights=none", "--data.dataset.clips=30", "--data.dataset.cache=false"]
    assert main(["train", "synthetic/hdf", *small, *options, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_checkpoint_of_another_network_is_named_by_its_first_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model_state": x3d_s(width=0.25).state_dict()}, tmp_path / "x3d.pth")
    weights = f"--model.model.backbone.weights={tmp_path / 'x3d.pth'}"
    assert main(["train", "synthetic/hdf", weights, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "missing: stem.0.weight, " in error
    assert "561 unexpected: blocks.0." in error
    assert error.count("\n") == 1
