"""A service on a free port, in a thread of this process or a process of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fake_recogniser
import httpx
import uvicorn

from dfer.serve.app import create_app
from dfer.serve.settings import Settings


class Service:
    """A running service and a client that talks to it."""

    def __init__(self, app: Any, client: httpx.Client, folder: Path) -> None:
        self.app, self.client, self.folder = app, client, folder

    def send(self, content: bytes | str, name: str = "clip.mp4", **options: Any) -> httpx.Response:
        data = content.encode() if isinstance(content, str) else content
        return self.client.post("/v1/predict", files={"video": (name, data)}, **options)

    def kept(self) -> list[str]:
        """Files of videos that are still there."""
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


@contextmanager
def running(
    folder: Path, build: Callable[[], Any] = fake_recogniser.Fake, wait: bool = True, **limits: Any
) -> Iterator[Service]:
    reasons: list[str] = []
    app = create_app(Settings(**limits), build, folder, refused=reasons.append)
    app.state.reasons = reasons
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, ws="none")
        server = uvicorn.Server(config)
        server.capture_signals = lambda: _nothing()  # type: ignore[method-assign]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with httpx.Client(base_url=address, timeout=30) as client:
                while wait and client.get("/readyz").status_code != 200:
                    threading.Event().wait(0.05)
                yield Service(app, client, folder)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def _nothing() -> Iterator[None]:
    yield
