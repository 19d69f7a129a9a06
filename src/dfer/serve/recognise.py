"""What a worker does: load the model once, then recognise one video after the other."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from dfer.errors import InputError, ItemError, one_line

if TYPE_CHECKING:
    from dfer.inference.pipeline import Detectors, Pipeline
    from dfer.inference.timeline import Timeline

Progress = Callable[[float, float | None], None]
PAUSE: Final = 0.2
"""Seconds between two reports of progress."""


class Recogniser(Protocol):
    """Turns a video into a timeline; ``options`` are the client's.

    ``about`` describes it in plain JSON: ``labels``, the ``notes`` that must stand beside every result, anything else.
    """

    @property
    def about(self) -> Mapping[str, Any]: ...

    def __call__(self, video: Path, options: Mapping[str, Any], progress: Progress) -> "Timeline": ...


class OptionError(InputError):
    """What the client asked for makes no sense."""


class StoppedError(Exception):
    """Nobody waits for the answer any more."""


class PipelineRecogniser:
    """Recognises with a pipeline; the client's ``window``, ``step`` and ``unsure`` go before the pipeline's own."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self.pipeline = pipeline
        self.about = {**pipeline.model, "notes": list(pipeline.notes)}

    def __call__(self, video: Path, options: Mapping[str, Any], progress: Progress) -> "Timeline":
        """Recognise one video.

        Raises:
            OptionError: the options do not go together.
            ItemError: the video cannot be read, or is beyond the limits.
        """
        pipeline, wanted = copy(self.pipeline), dict(options)
        if wanted.get("window") == "whole":
            wanted["window"] = None
        try:
            pipeline.settings = replace(pipeline.settings, **wanted)
        except InputError as error:
            raise OptionError(one_line(error)) from error
        return pipeline(video, progress=progress)


def build_recogniser(
    *,
    model: Path,
    detector: "Detectors",
    detector_model: Path | None,
    device: str | None,
    window: float | None,
    step: float,
    unsure: float,
    max_pixels: int,
    max_seconds: float,
) -> PipelineRecogniser:
    """Load what `dfer.serve.command.serve` was asked for; called in the worker.

    Raises:
        InputError: no such model or detector.
    """
    import torch

    from dfer.inference.pipeline import Pipeline
    from dfer.video.stream import Limits

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    limits = Limits(pixels=max_pixels, seconds=max_seconds)
    pipeline = Pipeline.load(
        model,
        detector=detector,
        detector_model=detector_model,
        device=device,
        window=window,
        step=step,
        unsure=unsure,
        limits=limits,
    )
    return PipelineRecogniser(pipeline)


def work(connection: Connection, build: Callable[[], Recogniser], threads: int, folder: Path | None = None) -> None:
    """Load the model, say so, and answer until the other end is closed.

    A message is a line of JSON and the bytes that belong to it. In: ``{"job": n, "video", "name", "options"}``,
    ``{"stop": n}``. Out: ``ready`` or ``refused``, then per job ``progress`` and one of ``done``, ``failed`` (the
    video's fault), ``fault`` (ours) and ``stopped``.

    Args:
        folder: of the uploads; removed if the server died without doing it: they are not kept, whatever happens.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which then ends its workers
    _stay_behind(threads)
    try:
        recogniser = build()
    except InputError as error:
        tell(connection, {"kind": "refused", "message": one_line(error)})
        return
    except Exception as error:
        tell(connection, {"kind": "refused", "message": _fault(error)})
        return
    with suppress(EOFError, OSError):  # the server is gone: nobody to answer
        tell(connection, {"kind": "ready", "about": dict(recogniser.about)})
        while True:
            job, _ = hear(connection)
            if "job" in job:  # a stop that came too late is no job
                tell(connection, *_answer(connection, recogniser, job))
    server = multiprocessing.parent_process()
    if folder is not None and server is not None and not server.is_alive():
        shutil.rmtree(folder, ignore_errors=True)


def tell(connection: Connection, head: Mapping[str, Any], body: bytes = b"") -> None:
    """Send one message."""
    connection.send_bytes(json.dumps(head).encode() + b"\n" + body)


def hear(connection: Connection) -> tuple[dict[str, Any], bytes]:
    """Wait for one message."""
    head, _, body = connection.recv_bytes().partition(b"\n")
    return json.loads(head), body


def _answer(connection: Connection, recogniser: Recogniser, job: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    video, name, told = Path(job["video"]), job["name"], -PAUSE

    def progress(done: float, total: float | None) -> None:
        nonlocal told
        while connection.poll():
            if hear(connection)[0].get("stop") == job["job"]:
                raise StoppedError
        if monotonic() - told >= PAUSE:
            told = monotonic()
            tell(connection, {"kind": "progress", "done": done, "total": total})

    def said(error: BaseException) -> str:
        return one_line(error).replace(str(video), name).replace(video.name, name)

    try:
        timeline = recogniser(video, job["options"], progress)
        return {"kind": "done"}, replace(timeline, video=name).to_json().encode()
    except StoppedError:
        return {"kind": "stopped"}, b""
    except (EOFError, BrokenPipeError):
        raise
    except OptionError as error:
        return {"kind": "failed", "code": "bad_option", "message": one_line(error)}, b""
    except ItemError as error:
        return {"kind": "failed", "code": "bad_video", "message": said(error)}, b""
    except InputError as error:  # of the model, not of this request
        return {"kind": "fault", "message": said(error)}, b""
    except Exception as error:
        return {"kind": "fault", "message": _fault(error).replace(str(video), name)}, b""


def _fault(error: Exception) -> str:
    return f"a fault in dfer ({type(error).__name__}: {one_line(error)})"


def _stay_behind(threads: int) -> None:
    """Leave the processor to the server's own process whenever that has something to do."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    with suppress(OSError, AttributeError):
        os.nice(5)
