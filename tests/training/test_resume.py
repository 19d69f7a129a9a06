"""What a resumed run goes on from."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.errors import InputError
from dfer.training.resume import AtomicCheckpointIO, changed_setting, random_state, set_random_state


def draw() -> tuple[float, float, float, float]:
    return random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))  # noqa: NPY002


def test_every_generator_goes_on_where_it_was_also_through_a_file() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    draw()
    file = io.BytesIO()
    torch.save(random_state(), file)
    first = draw()
    assert first != draw()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert draw() == first


def test_the_trainers_state_goes_through_a_file(tmp_path: Path) -> None:
    state = {"epoch": 3, "weights": {"a": torch.arange(4.0)}}
    AtomicCheckpointIO().save_checkpoint(state, tmp_path / "new" / "a.ckpt")
    found = AtomicCheckpointIO().load_checkpoint(tmp_path / "new" / "a.ckpt")
    assert found["epoch"] == 3
    assert torch.equal(found["weights"]["a"], state["weights"]["a"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.ckpt"]


def test_a_refused_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's own way passes over this one in silence."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dfer.runs.tempfile.mkstemp", refuse)
    with pytest.raises(InputError, match=r"cannot write .*a\.ckpt: Permission denied"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "a.ckpt")


def test_code_in_a_state_file_is_not_run(tmp_path: Path) -> None:
    class Bad:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)  # type: ignore[return-value]

    torch.save({"a": Bad()}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="damaged"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("a: {b: 1}", "a: {b: 1}", None),
        ("a: {b: 1}", "a: {b: 2}", "a.b was 1, now 2"),
        ("a: {b: 1}", "a: {b: 1, c: 2}", "a.c was None, now 2"),
        ("a: {b: 1, c: 2}", "a: {b: 1}", "a.c was 2, now None"),
        ("a: [0.8, 1.0]", "a: [1.0, 1.0]", "a was [0.8, 1.0], now [1.0, 1.0]"),
        ("a: {b: 1, c: 2}", "a: {b: 2, c: 1}", "a.b was 1, now 2"),
        ("data: {root: x, workers: 0}", "data: {root: y, workers: 4}", None),
    ],
)
def test_changed_setting(before: str, now: str, said: str | None) -> None:
    assert changed_setting(before, now) == said
