"""Make the runs of a plan: what is done is kept, what was interrupted goes on, what fails does not stop the rest."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol, cast

from dfer.errors import InputError, one_line
from dfer.evaluation.robustness import named, up_to_date
from dfer.experiments.plan import Planned
from dfer.runs import RunFolder, write_atomically
from dfer.transforms.corrupt import Corruption


class Runner(Protocol):
    """Trains, measures and reports one recipe: ``dfer.experiments.run.run``."""

    def __call__(self, arguments: Sequence[str], out: Path, *, resume: bool = False) -> RunFolder: ...


Damage = Callable[[RunFolder, Corruption], object]


def state(folder: RunFolder) -> str:
    """Say where a run stands: ``done``, ``to do``, ``interrupted``, ``failed`` or ``to evaluate``."""
    if not folder.manifest.is_file():
        return "to do"
    try:
        written = folder.read_manifest().get("state")
    except InputError:
        return "failed"
    if written == "finished":
        return "done" if folder.predictions().is_file() else "to evaluate"
    return "failed" if written == "failed" else "interrupted"  # a killed run still says "running"


def unique(runs: Sequence[Planned]) -> list[Planned]:
    """Leave out runs that an earlier row of the list makes as well."""
    return list({run.folder.path: run for run in reversed(runs)}.values())[::-1]


def execute(
    runs: Sequence[Planned],
    runner: Runner,
    failures: dict[Path, str],
    *,
    jobs: int = 1,
    started: Callable[[Planned], None] = lambda run: None,
) -> None:
    """Make what is not done, in order.

    Args:
        failures: gets one line for each folder whose run failed.

    Raises:
        KeyboardInterrupt: stopped; what is finished stays and a run in the middle can go on.
    """
    todo = [run for run in unique(runs) if state(run.folder) != "done"]
    with _terminable():
        if jobs > 1:
            _in_processes(todo, runner, jobs, started, failures)
            return
        for run in todo:
            started(run)
            if line := make(run, runner):
                failures[run.folder.path] = line


def make(run: Planned, runner: Runner) -> str | None:
    """Make one run unless another process has made it meanwhile; return the line of a failure."""
    folder = run.folder
    with _alone(folder.path):
        before = state(folder)
        if before == "done":
            return None
        resume = before == "to evaluate" or (before == "interrupted" and folder.resume_state.is_file())
        if not resume and folder.path.exists():
            shutil.rmtree(folder.path)  # failed, or stopped before it could be resumed
        try:
            runner(run.arguments, folder.path, resume=resume)
        except Exception as error:
            return _told(error, folder)
        after = state(folder)
        if after == "interrupted":
            raise KeyboardInterrupt
        return None if after == "done" else f"{folder.path} holds no predictions after its run"


def damage(
    runs: Sequence[Planned],
    predict: Damage,
    failures: dict[Path, str],
    *,
    started: Callable[[Planned], None] = lambda run: None,
) -> None:
    """Make the predictions on damaged clips that rows ask of finished runs, where missing or of earlier weights.

    Args:
        predict: saves them: ``dfer.evaluation.robustness.corrupted``.
        failures: gets one line for each file of predictions that could not be made.

    Raises:
        KeyboardInterrupt: stopped; what is made stays.
    """
    with _terminable():
        for run in runs:
            wanted, file = named(run.predictions), run.folder.predictions(run.predictions)
            if wanted is None or file in failures or state(run.folder) != "done":
                continue
            with _alone(run.folder.path):
                if up_to_date(run.folder, run.predictions):
                    continue
                started(run)
                try:
                    predict(run.folder, wanted)
                except Exception as error:
                    failures[file] = f"{run.predictions}: {_told(error, run.folder)}"


def _told(error: Exception, folder: RunFolder) -> str:
    if isinstance(error, InputError):
        return one_line(error)
    write_atomically(folder.path / "error.txt", traceback.format_exc())
    return f"{type(error).__name__}: {one_line(error)} (all of it in {folder.path / 'error.txt'})"


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM stop a table as Ctrl-C does, also between and beside its trainings."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other table makes this run; the lock ends with its process, however that ends."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / f".{folder.name}.lock").open("w")
    except OSError as error:
        raise InputError(
            f"cannot write to {folder.parent}: {error.strerror}; choose another folder with --out"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _in_processes(
    todo: list[Planned], runner: Runner, jobs: int, started: Callable[[Planned], None], failures: dict[Path, str]
) -> None:
    context = multiprocessing.get_context("spawn")
    queue = list(todo)
    running: dict[int, tuple[SpawnProcess, Connection, Planned]] = {}
    try:
        while queue or running:
            while queue and len(running) < jobs:
                run = queue.pop(0)
                started(run)
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(run, runner, theirs))
                process.start()
                theirs.close()
                running[process.sentinel] = process, ours, run
            for sentinel in wait(list(running)):
                process, ours, run = running.pop(cast(int, sentinel))
                process.join()
                try:
                    line = ours.recv()
                except EOFError:
                    line = f"its process ended with status {process.exitcode}; see {_log(run)}"
                if line == "interrupted":
                    raise KeyboardInterrupt
                if line:
                    failures[run.folder.path] = line
    finally:
        for process, _, _ in running.values():
            process.terminate()  # as Ctrl-C: a usable checkpoint is left
        for process, _, _ in running.values():
            process.join()


def _child(run: Planned, runner: Runner, answer: Connection) -> None:
    _log(run).parent.mkdir(parents=True, exist_ok=True)
    with _log(run).open("a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    try:
        answer.send(make(run, runner))
    except KeyboardInterrupt:
        answer.send("interrupted")
    except InputError as error:
        answer.send(one_line(error))


def _log(run: Planned) -> Path:
    return run.store / f"{run.folder.path.name}.log"
