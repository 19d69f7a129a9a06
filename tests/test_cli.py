"""The command line from outside: what it prints, how it ends."""

import importlib
import subprocess
import sys
import time

import pytest

from dfer import cli
from dfer.errors import InputError, ItemError

TARGETS = [target for target, _ in (*cli.COMMANDS.values(), *cli.DATA_COMMANDS.values())]


@pytest.mark.parametrize("target", TARGETS)
def test_every_command_is_there(target: str) -> None:
    module, name = target.split(":")
    assert callable(getattr(importlib.import_module(module), name))


@pytest.mark.parametrize("command", [*cli.COMMANDS, *(f"data {name}" for name in cli.DATA_COMMANDS)])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command.split(), "--help"]) == 0
    assert f"dfer {command}" in capsys.readouterr().out


def test_help_takes_less_than_a_second() -> None:
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "dfer.cli", "--help"], capture_output=True, text=True, check=True)
    assert time.monotonic() - start < 1.2  # a person waits: 1 s, and a fifth for a busy machine
    assert all(name in done.stdout for name in cli.COMMANDS)


def test_help_imports_no_torch() -> None:
    script = "import sys; from dfer.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["evalate", "x"], "evaluate"),
        (["evaluate"], "runs"),
        (["data", "chekc"], "check"),
        (["data", "synthesize", "--layout", "dfw", "x"], "dfew"),
        (["evaluate", "x", "--jsn"], "--json"),
    ],
)
def test_a_wrong_word_names_the_right_one(
    arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert wanted.lower() in error.lower()
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("a\nb"), 2),
        (ItemError("a\n  b"), 3),
        (KeyboardInterrupt(), 130),
        (OSError(28, "No space left on device"), 2),
        (ZeroDivisionError("oops"), 1),
    ],
)
def test_errors_are_one_line(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("DFER_DEBUG", raising=False)
    monkeypatch.setattr(cli, "build_app", lambda: fail)
    assert cli.main([]) == status
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_fault_of_ours_shows_its_traceback_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("DFER_DEBUG", "1")
    monkeypatch.setattr(cli, "build_app", lambda: fail)
    with pytest.raises(ZeroDivisionError):
        cli.main([])
