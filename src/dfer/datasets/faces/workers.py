"""Many videos at once: every process has a detector of its own, and none takes the others down."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from dfer.datasets.faces.clips import Cut, CutSettings, cut_faces
from dfer.video.detect import FaceDetector

CRASHED = "reading it ended the process; convert it to mp4 (H.264), or leave it out"


class Job(NamedTuple):
    """One video to cut; ``number`` tells jobs apart."""

    number: int
    video: Path
    clip: str


class Bench(NamedTuple):
    """What all jobs have in common; ``partial`` is the folder of what is not whole yet."""

    out: Path
    partial: Path
    detector: FaceDetector
    settings: CutSettings


def cut_many(jobs: Sequence[Job], bench: Bench, workers: int) -> Generator[tuple[Job, Cut]]:
    """Cut the faces of many videos, and give each as it is done.

    A video at which a process dies (out of memory, a fault of a decoder) is tried once more, alone, and then given up.
    Close the iterator to stop: nothing half is left.

    Args:
        workers: processes; 0 works here.

    Raises:
        InputError: the folder cannot be written to.
    """
    if workers == 0:
        for job in jobs:
            yield job, _cut(job, bench)
        return
    left = deque(jobs)
    while left:
        suspects = yield from _work_off(left, bench, min(workers, len(left)))
        for job in suspects:
            if (yield from _work_off(deque([job]), bench, 1)):
                yield job, Cut((), "unreadable", CRASHED)


def _work_off(left: deque[Job], bench: Bench, workers: int) -> Generator[tuple[Job, Cut], None, list[Job]]:
    """Share out jobs until none is left; or, when a process dies, give the jobs that were under way."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (bench,))
    running: dict[Future[Cut], Job] = {}
    try:
        while left or running:
            try:
                while left and len(running) < workers:
                    with _undisturbed():
                        running[pool.submit(_cut_here, left[0])] = left[0]
                    left.popleft()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    cut = future.result()
                    yield running.pop(future), cut
            except BrokenProcessPool:
                return list(running.values())
        return []
    except BaseException:  # Ctrl-C, a full disk, or nobody wants more: what is half done is of no use
        for process in dict(pool._processes).values():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: they are never to see it, the main process stops them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_bench: Bench


def _begin(bench: Bench) -> None:
    """Prepare a process for its jobs."""
    global _bench
    _bench = bench
    torch.set_num_threads(1)  # the processes are the parallel part
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # MediaPipe's C++ talks; what goes wrong is told by the answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cut_here(job: Job) -> Cut:
    return _cut(job, _bench)


def _cut(job: Job, bench: Bench) -> Cut:
    partial = bench.partial / str(job.number)
    return cut_faces(job.video, job.clip, bench.out, bench.detector, bench.settings, partial=partial)
