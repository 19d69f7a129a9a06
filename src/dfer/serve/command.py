"""The command that runs the service."""

import asyncio
import errno
import ipaddress
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dfer.errors import InputError
from dfer.notices import NO_MODEL

if TYPE_CHECKING:
    from dfer.serve.recognise import Recogniser
    from dfer.serve.settings import Settings

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
GRACE = 5
"""Seconds that open requests have when the server is told to end."""


def serve(
    model: Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    hosts: tuple[str, ...] = (),
    detector: Literal["auto", "blaze_face", "cascade", "whole_frame"] = "auto",
    detector_model: Path | None = None,
    device: str | None = None,
    window: float | Literal["whole"] = 2.0,
    step: float = 0.5,
    unsure: float = 0.4,
    workers: int = 1,
    queue: int = 1,
    max_megabytes: float = 200,
    max_pixels: int = 8192 * 4320,
    max_seconds: float = 300,
    deadline: float = 300,
) -> int:
    """Offer a model as a web service, with a page to drop videos on.

    Videos are recognised in processes of their own and never kept. There is no password: bind to another address than
    this machine's own only behind something that asks for one.

    Args:
        model: a run's folder, a checkpoint (.safetensors) or an exported file (.onnx, .xml).
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        hosts: further names under which the service may be asked, such as a proxy's.
        detector: finds the faces.
        detector_model: the detector's model file.
        device: runs the model; left out: a GPU if there is one.
        window: seconds that the model sees at once, unless a request says otherwise; whole: no windows, all of a
            face at once.
        step: seconds from one window to the next, likewise.
        unsure: where no class is at least as probable nothing is said, likewise.
        workers: videos that are recognised at the same time, each in a process with the model in it.
        queue: further requests that may upload or wait; beyond them 429.
        max_megabytes: of an upload; beyond it 413.
        max_pixels: of a frame; beyond it 422.
        max_seconds: of a video; beyond it 422.
        deadline: seconds from a request's start to its answer; beyond it 504.
    """
    if model is None:
        raise InputError(NO_MODEL)
    if not model.exists():
        raise InputError(f"{model} not found; give a run's folder or an exported file with --model")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"the service needs {', '.join(missing)}; run pip install 'dfer[serve]'")
    from dfer.serve.recognise import build_recogniser
    from dfer.serve.settings import LOOPBACK, Settings

    own = _loopback(host)
    names = {*LOOPBACK, host.lower(), *(name.lower() for name in hosts)} if own or hosts else ()
    settings = Settings(
        max_megabytes=max_megabytes,
        max_pixels=max_pixels,
        max_seconds=max_seconds,
        deadline=deadline,
        workers=workers,
        queue=queue,
        hosts=tuple(sorted(names)),
    )
    build = partial(
        build_recogniser,
        model=model,
        detector=detector,
        detector_model=detector_model,
        device=device,
        window=None if window == "whole" else window,
        step=step,
        unsure=unsure,
        max_pixels=max_pixels,
        max_seconds=max_seconds,
    )
    with _listening(host, port) as listener:
        if not own:
            print(f"dfer: {host} can be reached from other machines, and nothing asks for a password", file=sys.stderr)
        return run(settings, build, listener)


def run(settings: "Settings", build: "Callable[[], Recogniser]", listener: socket.socket) -> int:
    """Serve at an open socket until SIGTERM or Ctrl-C.

    Raises:
        InputError: the model is refused before it was loaded once.
    """
    import uvicorn

    from dfer.serve.app import create_app

    said: list[bool] = []
    reasons: list[str] = []
    address, port = listener.getsockname()[:2]
    name = f"[{address}]" if ":" in address else address

    def ready() -> None:
        if not said:
            said.append(True)
            print(f"http://{name}:{port}/ is ready; Ctrl-C ends it", flush=True)

    def refused(reason: str) -> None:
        if said:
            print(f"dfer: a worker could not load the model again: {reason}", file=sys.stderr)
        else:
            reasons.append(reason)
            server.should_exit = True

    threads = max(1, ((os.cpu_count() or 1) - 1) // settings.workers)
    with tempfile.TemporaryDirectory(prefix="dfer-serve-", ignore_cleanup_errors=True) as uploads, _quiet_signals():
        app = create_app(settings, build, Path(uploads), threads=threads, ready=ready, refused=refused)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=GRACE, ws="none")
        config.access_log = config.server_header = False
        server = uvicorn.Server(config)
        asyncio.run(server.serve([listener]))
    if reasons:
        raise InputError(reasons[0])
    return 0


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; it must be 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} of {host} is in use; choose another with --port") from error
        why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise InputError(f"cannot listen at {host}, port {port}: {why}") from error
    with listener:
        yield listener


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """Let the server end by itself: it raises the signal once more when it has, which is then nothing to die of."""
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
