"""Processes that hold the model: one video each at a time, replaced when they die or do not stop."""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from dfer.serve.desk import Visit
from dfer.serve.problems import RequestError
from dfer.serve.recognise import Recogniser, hear, tell, work

GRACE: Final = 2.0
"""Seconds in which a worker may stop by itself before it is killed."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts to load a model that does not load."""


class Worker:
    """One process, and the thread that listens to it; everything else happens in the server's loop."""

    def __init__(
        self, build: Callable[[], Recogniser], threads: int, heard: Callable[..., None], folder: Path | None = None
    ) -> None:
        self.answer: asyncio.Future[bytes] | None = None
        self.visit = Visit()
        self.loaded = False
        self.alive = True
        self.number = 0
        self._doomed = False
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._killer: asyncio.TimerHandle | None = None
        context = multiprocessing.get_context("spawn")
        self._connection, far = context.Pipe()
        self._process = context.Process(target=work, args=(far, build, threads, folder), daemon=True)
        self._thread = threading.Thread(target=self._listen, args=(far,), daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process's number."""
        return self._process.pid

    async def ask(self, video: Path, name: str, options: Mapping[str, Any], visit: Visit) -> bytes:
        """Have a video recognised.

        Raises:
            RequestError: the video's fault (422) or ours (500).
        """
        self.number += 1
        self.visit = visit
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self.answer = answer
        job = {"job": self.number, "video": str(video), "name": name, "options": dict(options)}
        try:
            with suppress(OSError):  # died just now: the listener finds out and answers
                tell(self._connection, job)
            return await answer
        except asyncio.CancelledError:
            if self.answer is answer:  # else it was done just now
                self._stop()
            raise

    def over(self) -> None:
        """Note that the job is done with, however it went."""
        self.answer = None
        if self._killer:
            self._killer.cancel()
            self._killer = None

    def kill(self) -> None:
        """End the process at once."""
        self._doomed = True
        if self._process.pid is not None:
            self._process.kill()

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await asyncio.to_thread(self._thread.join)

    def _stop(self) -> None:
        with suppress(OSError):
            tell(self._connection, {"stop": self.number})
        self._killer = self._loop.call_later(GRACE, self.kill)

    def _listen(self, far: Connection) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            try:
                self._process.start()
                far.close()
                if self._doomed:
                    self._process.kill()
                while True:
                    self._loop.call_soon_threadsafe(self._heard, self, *hear(self._connection))
            except (EOFError, OSError):
                pass
            finally:
                self._connection.close()
                if self._process.pid is not None:
                    self._process.join()
                self._loop.call_soon_threadsafe(self._heard, self, {"kind": "gone"}, b"")


class Pool:
    """Keeps a number of workers alive and hands videos to the free ones.

    Args:
        build: makes the recogniser, in the worker; must be picklable.
        threads: of each worker.
        ready: called when a worker has loaded the model.
        refused: called with the reason when a worker could not.
        replaced: called whenever a worker is replaced.
        folder: of the uploads; the workers remove it if this process dies.
    """

    def __init__(
        self,
        build: Callable[[], Recogniser],
        workers: int = 1,
        threads: int = 1,
        ready: Callable[[], None] = lambda: None,
        refused: Callable[[str], None] = lambda reason: None,
        replaced: Callable[[], None] = lambda: None,
        folder: Path | None = None,
    ) -> None:
        self.workers: list[Worker] = []
        self.about: dict[str, Any] | None = None
        self._build, self._count, self._threads, self._folder = build, workers, threads, folder
        self._ready, self._refused, self._replaced = ready, refused, replaced
        self._idle: asyncio.Queue[Worker] = asyncio.Queue()
        self._failures = 0
        self._stopping = False

    @property
    def loaded(self) -> int:
        """Workers that have loaded the model."""
        return sum(worker.loaded for worker in self.workers)

    def start(self) -> None:
        """Start the workers; they load the model while the server already answers."""
        for _ in range(self._count):
            self._add()

    async def stop(self) -> None:
        """End all workers."""
        self._stopping = True
        for worker in self.workers:
            worker.kill()
        await asyncio.gather(*(worker.gone() for worker in self.workers))

    async def recognise(self, video: Path, name: str, options: Mapping[str, Any], visit: Visit) -> tuple[bytes, float]:
        """Wait for a free worker and have it recognise a video; gives the JSON and the seconds that it took.

        When cancelled, the worker is told to stop, and killed if it does not.

        Raises:
            RequestError: the video's fault (422), or ours (500).
        """
        visit.at("waiting")
        worker = await self._idle.get()
        while not worker.alive:
            worker = await self._idle.get()
        start = perf_counter()
        visit.at("recognising")
        return await worker.ask(video, name, options, visit), perf_counter() - start

    def _add(self) -> None:
        if not self._stopping:
            self.workers.append(Worker(self._build, self._threads, self._heard, self._folder))

    def _heard(self, worker: Worker, head: Mapping[str, Any], body: bytes) -> None:
        kind, answer = head["kind"], worker.answer
        waiting = answer is not None and not answer.done()
        if kind == "progress":
            if waiting:
                worker.visit.at("recognising", head["done"], head["total"])
            return
        if kind == "refused":
            self._refused(head["message"])
            return
        if kind == "ready":
            self.about, self._failures, worker.loaded = head["about"], 0, True
            self._ready()
        if answer is not None and waiting:
            _settle(answer, head, body)
        worker.over()
        if kind == "gone":
            self._replace(worker)
        else:
            self._idle.put_nowait(worker)

    def _replace(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.alive = False
        if self._stopping:
            return
        self._replaced()
        self._failures += not worker.loaded
        pause = min(LONGEST_PAUSE, 2.0**self._failures) if self._failures else 0.0
        asyncio.get_running_loop().call_later(pause, self._add)


def _settle(answer: asyncio.Future[bytes], head: Mapping[str, Any], body: bytes) -> None:
    match head["kind"]:
        case "done":
            answer.set_result(body)
        case "failed":
            answer.set_exception(RequestError(422, head["code"], head["message"]))
        case "fault":
            answer.set_exception(RequestError(500, "fault", head["message"]))
        case _:
            text = "the process that worked on this video ended; the video may be damaged, or memory ran out"
            answer.set_exception(RequestError(500, "worker_died", text))
