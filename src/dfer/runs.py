"""The layout of a run folder: every name in one place, every write atomic."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.errors import InputError


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a whole file or nothing: a reader sees the old one or the new one.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; free or choose another folder") from error


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a folder to oneself, where the system can.

    Raises:
        InputError: another process holds it.
        OSError: the folder cannot be read.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(f"another run writes to {folder}; wait for it, or name another folder") from error
    except OSError:
        pass  # not every disk can lock
    try:
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class RunFolder:
    """Where a training run keeps what.

    Example:
        >>> RunFolder(Path("runs/a")).predictions("test")
        PosixPath('runs/a/predictions/test.npz')
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration, as ``dfer train`` can read it again."""
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        """What was run: command, commit, versions, protocol, data, state, chosen epochs, seconds."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """One CSV row per epoch."""
        return self.path / "metrics.csv"

    @property
    def steps(self) -> Path:
        """One CSV row per step, of what the loss says of itself (weights of its terms, the gradient's norm)."""
        return self.path / "steps.csv"

    @property
    def agreement(self) -> Path:
        """One CSV row per training clip: how the model agreed on it last, its loss, the verdict."""
        return self.path / "agreement.csv"

    @property
    def evaluation(self) -> Path:
        """What ``dfer evaluate`` found, as JSON."""
        return self.path / "evaluation.json"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.path / "report.html"

    @property
    def card(self) -> Path:
        """What the model is, is worth, is for and is not for, as Markdown."""
        return self.path / "model_card.md"

    @property
    def audit(self) -> Path:
        """Every training clip with what the best model makes of its label, the most suspicious first."""
        return self.path / "audit.csv"

    @property
    def audit_page(self) -> Path:
        """The self-contained page of the clips that are worth a look."""
        return self.path / "audit.html"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.path / "figures"

    @property
    def resume_state(self) -> Path:
        """The trainer's own state, for ``--resume`` alone."""
        return self.path / "checkpoints" / "resume.ckpt"

    def checkpoint(self, name: str = "best") -> Path:
        """The weights (``.safetensors``; a ``.json`` lies beside it) of ``best``, ``best-uar`` or ``last``."""
        return self.path / "checkpoints" / f"{name}.safetensors"

    def predictions(self, name: str = "test") -> Path:
        """Saved predictions: ``test``, ``test-uar`` (paper protocol), ``held-out``, or ``train`` (of an audit)."""
        return self.path / "predictions" / f"{name}.npz"

    def read_manifest(self) -> dict[str, Any]:
        """Read ``run.json``.

        Raises:
            InputError: not a run folder.
        """
        try:
            content = json.loads(self.manifest.read_text())
        except (OSError, ValueError) as error:
            below = ", ".join(sorted(str(one.parent) for one in self.path.glob("*/run.json"))[:5])
            hint = f"; there are runs below it: {below}" if below else ""
            raise InputError(
                f"{self.path} is no run folder: {self.manifest.name} missing or unreadable{hint}"
            ) from error
        if not isinstance(content, dict):
            raise InputError(f"{self.manifest} holds no table; the run folder is damaged")
        return content

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write ``run.json`` atomically."""
        write_atomically(self.manifest, json.dumps(dict(content), indent=2, sort_keys=True) + "\n")
