"""The service: who may ask what, and what the answers look like."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import FastAPI, Header, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from jinja2 import Environment
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from dfer.labels import COLOURS, canonical
from dfer.notices import AI_ACT, SHOWN_NOT_FELT
from dfer.serve import schema
from dfer.serve.desk import NOBODY, Desk
from dfer.serve.gate import Gate
from dfer.serve.metrics import CONTENT_TYPE, Metrics
from dfer.serve.problems import CODES, RequestError
from dfer.serve.recognise import Recogniser
from dfer.serve.settings import Settings
from dfer.serve.uploads import FIELD, check_length, received, shown_name
from dfer.serve.workers import Pool

T = TypeVar("T")
ID: Final = "^[A-Za-z0-9-]{8,64}$"
FORM: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "additionalProperties": False,
                    "properties": {FIELD: {"type": "string", "format": "binary", "description": "The video file."}},
                }
            }
        },
    }
}


class Options(BaseModel):
    """What a client may choose; else it is as the server was started."""

    model_config = ConfigDict(extra="forbid")
    window: Annotated[
        float | Literal["whole"] | None,
        Field(description="Seconds that are recognised at once, 0.2 to 60, or `whole`: all of a face at once."),
    ] = None
    step: Annotated[
        float | None, Field(ge=0.05, le=60, allow_inf_nan=False, description="Seconds from one window to the next.")
    ] = None
    unsure: Annotated[
        float | None, Field(ge=0, le=1, allow_inf_nan=False, description="Below this probability nothing is said.")
    ] = None

    def chosen(self) -> dict[str, Any]:
        """Give the options that were given."""
        if isinstance(self.window, float) and not 0.2 <= self.window <= 60:
            raise RequestError(422, "bad_option", f"window is {self.window}; it must be 0.2 to 60 seconds, or whole")
        return self.model_dump(exclude_none=True)


def create_app(
    settings: Settings,
    build: Callable[[], Recogniser],
    folder: Path,
    *,
    threads: int = 1,
    ready: Callable[[], None] = lambda: None,
    refused: Callable[[str], None] = lambda reason: None,
) -> FastAPI:
    """Make the service; nothing runs before the application starts.

    Args:
        settings: its limits.
        build: makes the recogniser, in each worker; must be picklable.
        folder: where uploads lie while they are worked on; no longer.
        threads: of each worker.
        ready, refused: called when a worker has loaded the model, or could not, with the reason.
    """
    metrics, desk = Metrics(), Desk(settings.places)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = Pool(build, settings.workers, threads, ready, refused, metrics.replaced.inc, folder)
        app.state.pool = pool
        pool.start()
        try:
            yield
        finally:
            await pool.stop()

    app = FastAPI(
        title="dfer",
        summary="Who shows which expression when?",
        description=f"{SHOWN_NOT_FELT} {AI_ACT}",
        version=version("dfer"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.desk, app.state.metrics = desk, metrics
    app.add_middleware(Gate, hosts=settings.hosts, metrics=metrics)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    add_states(app, settings)
    add_page(app)

    @app.post(
        "/v1/predict",
        openapi_extra=FORM,
        responses=failures(400, 403, 408, 409, 413, 422, 429, 500, 503, 504, 507) | {200: {"model": schema.Timeline}},
        response_class=Response,
        summary="Recognise the expressions in a video",
    )
    async def predict(
        request: Request,
        options: Annotated[Options, Query()],
        x_request_id: Annotated[str | None, Header(pattern=ID, description="The `id` of `/v1/progress/{id}`.")] = None,
    ) -> Response:
        pool: Pool = app.state.pool
        chosen = options.chosen()
        check_length(request, settings.max_bytes)
        if not pool.loaded:
            raise RequestError(503, "not_ready", "the model is being loaded; try again in a few seconds", retry_after=3)
        with desk.admitted(x_request_id) as visit:
            try:
                async with (
                    asyncio.timeout(settings.deadline),
                    received(request, folder, settings.max_bytes, visit) as upload,
                ):
                    metrics.uploaded.inc(upload.size)
                    work = pool.recognise(upload.path, upload.name, chosen, visit)
                    found, seconds = await unless_gone(request, work)
            except asyncio.CancelledError as error:  # by the server, which is told to end
                raise RequestError(503, "ending", "the server is ending", retry_after=10) from error
            except TimeoutError as error:
                text = f"not done after {settings.deadline:g} s ({visit.stage}); send a shorter video"
                raise RequestError(504, "deadline", text) from error
            except ClientDisconnect as error:
                raise RequestError(499, "gone", "the client has left") from error
        desk.took(seconds)
        metrics.recognition.observe(seconds)
        return Response(found, media_type="application/json")

    return app


def add_states(app: FastAPI, settings: Settings) -> None:
    """Add what tells of the server itself: health, readiness, metrics, the model, progress."""

    @app.get("/healthz", response_model=schema.State, summary="The process lives")
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", response_model=schema.State, responses=failures(503), summary="A worker has loaded the model")
    async def readyz() -> Response:
        if not app.state.pool.loaded:
            raise RequestError(503, "not_ready", "the model is being loaded", retry_after=3)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=Response, summary="Counters for Prometheus")
    async def metrics() -> Response:
        app.state.metrics.ready.set(app.state.pool.loaded)
        app.state.metrics.places.set(app.state.desk.taken)
        return Response(app.state.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/v1/model", response_model=schema.Model, responses=failures(503), summary="What recognises here")
    async def model() -> Response:
        about = app.state.pool.about
        if about is None:
            raise RequestError(503, "not_ready", "the model is being loaded", retry_after=3)
        limits = {name: getattr(settings, name) for name in schema.Limits.model_fields}
        labels = about["labels"]
        colours = {name: COLOURS.get(canonical(name), "#7f7f7f") for name in labels}
        rest = {key: value for key, value in about.items() if key not in ("labels", "notes")}
        return JSONResponse(
            {"labels": labels, "colours": colours, "notes": about["notes"], "about": rest, "limits": limits}
        )

    @app.get(
        "/v1/progress/{id}", response_model=schema.Progress, responses=failures(422), summary="How far a request is"
    )
    async def progress(id: Annotated[str, PathParam(pattern=ID)]) -> Response:
        visit = app.state.desk.visits.get(id, NOBODY)
        return JSONResponse({"stage": visit.stage, "done": visit.done, "total": visit.total})


def add_page(app: FastAPI) -> None:
    """Add the page and the files that belong to it."""
    folder = files("dfer.serve") / "page"
    html = Environment(autoescape=True).from_string((folder / "index.html").read_text(encoding="utf-8"))
    parts = {"/": (html.render(notices=[SHOWN_NOT_FELT, AI_ACT]).encode(), "text/html; charset=utf-8")}
    for name, kind in (("app.js", "text/javascript"), ("chart.js", "text/javascript"), ("style.css", "text/css")):
        parts[f"/{name}"] = ((folder / name).read_bytes(), f"{kind}; charset=utf-8")

    def add(path: str, content: bytes, kind: str) -> None:
        @app.get(path, include_in_schema=False)
        async def part() -> Response:
            return Response(content, media_type=kind)

    for path, (content, kind) in parts.items():
        add(path, content, kind)


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors that a path can give."""
    return {
        status: {"model": schema.Failure, "description": "Codes: " + ", ".join(CODES[status])}
        for status in sorted(statuses)
    }


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for the work, but no longer than the client does.

    Raises:
        ClientDisconnect: it has left.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = (asyncio.ensure_future(work), asyncio.ensure_future(gone()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientDisconnect
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return JSONResponse(error.to_dict(), error.status, error.headers)


async def _bad_option(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:] if isinstance(part, str)) or "the request"
    return await _problem(request, RequestError(422, "bad_option", f"{shown_name(name)}: {first['msg']}"))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        problem = RequestError(405, "bad_method", f"{request.method} is not for this address")
    else:
        problem = RequestError(404, "not_found", "there is nothing at this address")
    response = await _problem(request, problem)
    response.headers.update(error.headers or {})
    return response


async def _fault(request: Request, error: Exception) -> Response:
    return await _problem(
        request, RequestError(500, "fault", f"a fault in dfer ({type(error).__name__}); please report it")
    )


HANDLERS: Final[dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = {
    RequestError: _problem,
    RequestValidationError: _bad_option,
    HTTPException: _http,
    Exception: _fault,
}
