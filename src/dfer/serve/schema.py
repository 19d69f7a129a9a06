"""The shapes of what the service says, for its OpenAPI description."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Seconds = float
Probability = float


class Strict(BaseModel):
    """A shape without anything beside what is declared."""

    model_config = ConfigDict(extra="forbid")


class Moment(Strict):
    """One step of a face's timeline."""

    start: Seconds
    end: Seconds
    label: str | None = Field(description="None where nothing is said.")
    confidence: Probability | None = Field(description="The largest probability.")
    reason: Literal["too small", "too short", "unsure"] | None = Field(description="Why nothing is said.")
    probabilities: list[Probability] | None = Field(description="In the order of `labels`; None: not asked.")


class Peak(Strict):
    """Where a face shows an expression most surely."""

    label: str
    start: Seconds
    end: Seconds
    confidence: Probability


class Face(Strict):
    """One face, from where it appears to where it leaves."""

    face: int
    start: Seconds
    end: Seconds
    frames: int
    moments: list[Moment]
    peaks: list[Peak]


class Timeline(Strict):
    """Who shows which expression when. A shown expression is not a felt emotion."""

    format: int
    video: str = Field(description="The file name as it was sent.")
    seconds: Seconds
    frames: int
    width: int
    height: int
    labels: list[str]
    faces: list[Face]
    no_face: list[tuple[Seconds, Seconds]] = Field(description="Stretches without any face.")
    notes: list[str] = Field(description="Sentences that must be shown with the result.")
    model: dict[str, JsonValue]


class Explained(Strict):
    """What went wrong: a code for programs, a line for people."""

    code: str
    message: str


class Failure(Strict):
    """Every answer that is no success."""

    error: Explained


class State(Strict):
    """Of the process or its workers."""

    status: Literal["ok", "ready"]


class Progress(Strict):
    """Of a request: bytes while it uploads, seconds of video while it is recognised; `none`: not under way."""

    stage: Literal["none", "uploading", "waiting", "recognising"]
    done: float
    total: float | None


class Limits(Strict):
    """What is refused beyond."""

    max_megabytes: float
    max_pixels: int
    max_seconds: float
    deadline: float


class Model(Strict):
    """What recognises here."""

    labels: list[str]
    colours: dict[str, str]
    notes: list[str] = Field(description="Sentences that must be shown with every result.")
    about: dict[str, JsonValue]
    limits: Limits
