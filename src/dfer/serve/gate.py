"""Around every request: whom it is for, headers, counting, and bodies that nobody read."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dfer.serve.metrics import Metrics
from dfer.serve.problems import RequestError

LINGER: Final = 2.0
"""Seconds in which a refused client may go on sending, so that it comes to read why it was refused."""
METHODS: Final = ("GET", "HEAD", "POST")
HEADERS: Final = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Gate:
    """Wraps the application.

    A request for another host's name is refused where ``hosts`` are given, and so is a video sent by another site's
    page: that page could not read the answer, but it could keep this machine busy. HEAD is answered as GET is, and the
    server leaves the body out.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str], metrics: Metrics) -> None:
        self.app, self.hosts, self.metrics = app, frozenset(hosts), metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
        status = 500
        try:
            problem = self._refused(scope)
            if problem:
                response = JSONResponse(problem.to_dict(), problem.status)
                await response(scope, exchange.receive, exchange.send)
            else:
                await self.app(asked, exchange.receive, exchange.send)
            status = exchange.status
        finally:
            path = getattr(asked.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"  # a client must not make up labels
            self.metrics.requests.labels(path, method, str(status)).inc()

    def _refused(self, scope: Scope) -> RequestError | None:
        headers = Headers(scope=scope)
        if self.hosts and _host(headers.get("host", "")) not in self.hosts:
            return RequestError(
                400, "bad_host", "the service does not go by this name; ask for it by its own, or --hosts"
            )
        if scope["method"] == "POST" and headers.get("sec-fetch-site") == "cross-site":
            return RequestError(403, "cross_site", "another site's page may not send videos here")
        return None


class _Exchange:
    """One request's messages: notes its status, and reads on for a while after a refusal."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self.status = 500
        self._receive, self._send = receive, send
        self._read = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._waits = "expect" in headers  # sends its body only when asked to
        self._close = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._read = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in HEADERS.items() if pair[0] not in own)]
            self._close = not self._read
            if self._close:
                message["headers"].append((b"connection", b"close"))
        elif self._close and not self._waits and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            message = {"type": "http.response.body", "body": b"", "more_body": False}
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    while not self._read:
                        await self.receive()
        await self._send(message)


def _host(header: str) -> str:
    """Cut the port off.

    Example:
        >>> _host("localhost:8000"), _host("[::1]:8000"), _host("Example.org")
        ('localhost', '::1', 'example.org')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
