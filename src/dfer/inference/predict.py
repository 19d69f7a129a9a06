"""``dfer predict``: who shows which expression when, in videos of one's own."""

import hashlib
import json as json_format
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from dfer.errors import InputError, ItemError, one_line
from dfer.inference.summary import Entry, Summary, stamp
from dfer.inference.timeline import Timeline
from dfer.notices import NO_MODEL
from dfer.runs import RunFolder, write_atomically
from dfer.video.container import shown

if TYPE_CHECKING:
    from dfer.inference.pipeline import Pipeline
    from dfer.video.crop import FaceGeometry

ENDINGS: Final = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
"""Of the files in a folder that are videos; a file that is named itself may be called anything."""
DAMAGED: Final = "The video is damaged"
JSON, CSV, PAGE, FILM = ".json", ".csv", ".html", ".annotated.mp4"


def predict(
    videos: list[Path],
    *,
    model: Path | None = None,
    out: Path = Path("predictions"),
    detector: Literal["auto", "blaze_face", "cascade", "whole_frame"] = "auto",
    detector_model: Path | None = None,
    eye_distance: float | None = None,
    eye_height: float | None = None,
    window: float | Literal["whole"] = 2.0,
    step: float = 0.5,
    min_face: int = 48,
    min_seconds: float = 0.5,
    unsure: float = 0.4,
    smoothing: float = 0.0,
    annotate: bool = False,
    report: bool = False,
    device: str | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Tell who shows which expression when in videos of your own.

    Writes a JSON and a CSV file per video, and a summary of all. A video that was done before, with the same model and
    settings, is not done again; one that cannot be read does not stop the others (exit status 3).

    Args:
        videos: files, and folders to search for them; after `--` also such that begin with a dash.
        model: a run folder, a checkpoint, or an exported file.
        out: folder for all outputs.
        detector: what finds faces; auto: BlazeFace where it runs; whole_frame: the videos are faces cut out already.
        detector_model: a BlazeFace .tflite file; fetched once unless given.
        eye_distance: between the eyes of a face as it is cut out, as a share of the picture's side; as in the training
            data, if the model knows, unless given.
        eye_height: of the eyes from the top, likewise; the two are given together.
        window: seconds that the model sees at once; whole: no windows, all of a face at once.
        step: seconds from window to window.
        min_face: pixels; of smaller faces nothing is said.
        min_seconds: of faces seen for a shorter time nothing is said.
        unsure: probability that a label needs at least.
        smoothing: seconds over which probabilities are smoothed; 0: not at all.
        annotate: write an mp4 with boxes, labels and a moving chart.
        report: write a page with the timeline and film strips.
        device: cpu, cuda, or what PyTorch knows; the best there is unless given.
        precision: of the model's numbers.
        overwrite: do again what is done.
        json: print one JSON object instead of a line per video.
    """
    if not videos:
        raise InputError("no video given; `dfer predict VIDEO --model runs/NAME`")
    if model is None:
        raise InputError(NO_MODEL)
    from dfer.inference.pipeline import Pipeline

    summary = Summary.open(out)
    pipeline = Pipeline.load(
        model,
        detector=detector,
        detector_model=detector_model,
        device=device,
        precision=precision,
        geometry=_geometry(eye_distance, eye_height),
        window=None if window == "whole" else window,
        step=step,
        min_face=min_face,
        min_seconds=min_seconds,
        unsure=unsure,
        smoothing=smoothing,
    )
    with summary.held():
        summary.save()  # from now on the folder is ours
        endings = [JSON, CSV, *([PAGE] if report else []), *([FILM] if annotate else [])]
        asked = _asked(pipeline, model, detector_model)
        found = find_videos(videos, out)
        told: list[Entry] = []
        before = 0
        try:
            for number, (path, problem) in enumerate(found, 1):
                entry = None if overwrite or problem else summary.finished(path, asked, endings)
                if entry is not None:
                    before += 1
                else:
                    title = f"{number} of {len(found)}: {shown(path.name)}"
                    entry = _refused(path, problem) if problem else _one(path, pipeline, summary, asked, endings, title)
                    summary.add(entry)
                told.append(entry)
                if not json or entry.state == "failed":
                    _tell(entry, out)
            summary.save()
        except BaseException as error:
            with suppress(InputError):  # the disk is full: what stopped the run says so
                summary.save()
            done = f"{len(told)} of {len(found)} videos are done, the same command goes on"
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"interrupted; {done}") from error
            if isinstance(error, InputError):
                raise InputError(f"{one_line(error)}; {done}") from error
            raise
        notes = list(dict.fromkeys(note for entry in told for note in entry.notes))
        count = {state: sum(entry.state == state for entry in told) for state in ("done", "damaged", "failed")}
        if json:
            files = [asdict(entry) for entry in told]
            print(json_format.dumps({"out": str(out), **count, "done_before": before, "notes": notes, "files": files}))
        else:
            for note in notes:
                print(note)
            earlier = f" ({before} before; --overwrite does them again)" if before else ""
            parts = [f"{count['done']} of {len(told)} videos done{earlier}"]
            parts += [f"{count['damaged']} read in part"] * bool(count["damaged"])
            parts += [f"{count['failed']} failed"] * bool(count["failed"])
            print(f"{', '.join(parts)}; all of them: {shown(out / 'summary.csv')}")
        return 3 if count["damaged"] or count["failed"] else 0


def _geometry(eye_distance: float | None, eye_height: float | None) -> "FaceGeometry | None":
    from dfer.video.crop import FaceGeometry

    if eye_distance is None and eye_height is None:
        return None
    if eye_distance is None or eye_height is None:
        raise InputError("--eye-distance and --eye-height say together where the eyes are; give both")
    try:
        return FaceGeometry(eye_distance=eye_distance, eye_height=eye_height)
    except ValueError as error:
        raise InputError(str(error)) from error


def find_videos(given: Sequence[Path], out: Path) -> list[tuple[Path, str]]:
    """List the videos of files and folders, each once, in natural order; with each what is wrong with it already.

    Args:
        out: a folder that is not searched, and what was drawn into videos is not taken for one.
    """
    found: dict[str, tuple[Path, str]] = {}
    for path in given:
        below = _below(path, os.path.realpath(out)) if path.is_dir() else iter([(path, "")])
        for video, problem in below:
            found.setdefault(os.path.realpath(video), (video, problem))
    return list(found.values())


def _below(folder: Path, out: str) -> Iterator[tuple[Path, str]]:
    from dfer.datasets.index import natural_sort

    errors: list[OSError] = []
    count = 0
    for place, folders, names in os.walk(folder, onerror=errors.append):
        wanted = (name for name in folders if os.path.realpath(Path(place, name)) != out)
        folders[:] = natural_sort(wanted)
        for name in natural_sort(names):
            if Path(name).suffix.lower() in ENDINGS and not name.startswith(".") and not name.endswith(FILM):
                count += 1
                yield Path(place, name), ""
    for error in errors:
        yield Path(error.filename), f"cannot read {shown(error.filename)}: {error.strerror}"
    if not count and not errors:
        yield folder, f"no video in {shown(folder)}; a video ends in {', '.join(sorted(ENDINGS))}"


def _asked(pipeline: "Pipeline", model: Path, detector_model: Path | None) -> str:
    """Stand for the model, its weights and the settings: another such line is another answer."""
    weights = RunFolder(model).checkpoint("best") if model.is_dir() else model
    parts = [weights, weights.with_suffix(".json"), weights.with_suffix(".bin"), detector_model]
    digest = hashlib.sha256(json_format.dumps(pipeline.model, sort_keys=True, default=str).encode())
    for part in parts:
        if part is not None and part.is_file():
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]


def _one(path: Path, pipeline: "Pipeline", summary: Summary, asked: str, endings: Sequence[str], title: str) -> Entry:
    """Do one video; what goes wrong with it alone becomes its entry."""
    name, (size, modified) = summary.name(path), stamp(path)
    try:
        with _bar(title) as progress:
            timeline = pipeline(path, progress=progress("looking at"))
            _write(path, timeline, summary.folder / name, endings, progress)
    except ItemError as error:
        return _refused(path, one_line(error), name)
    except InputError:
        raise  # nothing that another video would not meet: a full disk, a bad model
    except Exception as error:
        if os.environ.get("DFER_DEBUG"):
            raise
        fault = f"{type(error).__name__}: {one_line(error)}"
        return _refused(path, f"a fault in dfer ({fault}); DFER_DEBUG=1 shows where; please report it", name)
    from dfer.inference.page import main_label

    damage = [note for note in timeline.notes if note.startswith(DAMAGED)]
    label, share = main_label(timeline) or (None, None)
    return Entry(
        video=str(path.absolute()),
        name=name,
        state="damaged" if damage else "done",
        error=" ".join(damage),
        seconds=round(timeline.seconds, 3),
        faces=len(timeline.faces),
        label=label,
        share=None if share is None else round(share, 4),
        outputs=tuple(f"{name}{ending}" for ending in endings),
        notes=tuple(note for note in timeline.notes if note not in damage),
        asked=asked,
        size=size,
        modified=modified,
    )


Bar = Callable[[str], Callable[[float, float | None], None]]


def _write(path: Path, timeline: Timeline, base: Path, endings: Sequence[str], progress: Bar) -> None:
    def output(ending: str) -> Path:
        return base.with_name(f"{base.name}{ending}")

    write_atomically(output(CSV), timeline.to_csv().encode(errors="backslashreplace"))
    if PAGE in endings:
        from dfer.inference.page import write_page

        write_page(output(PAGE), timeline, output(CSV).name)
    if FILM in endings:
        from dfer.inference.annotate import annotate

        annotate(path, timeline, output(FILM), progress=progress("drawing"))
    write_atomically(output(JSON), timeline.to_json().encode(errors="backslashreplace"))


def _refused(path: Path, problem: str, name: str = "") -> Entry:
    where = shown(path)
    return Entry(
        str(path.absolute()), name or "video", "failed", problem if where in problem else f"{where}: {problem}"
    )


def _tell(entry: Entry, out: Path) -> None:
    """Print a line: on stdout what was found, on stderr what was not."""
    if entry.state == "failed":
        print(f"dfer: {entry.error}", file=sys.stderr)
        return
    faces = "no face" if not entry.faces else "1 face" if entry.faces == 1 else f"{entry.faces} faces"
    what = ""
    if entry.faces:
        said = f"longest {entry.label} ({100 * (entry.share or 0):.0f} %)" if entry.label else "nothing said"
        what = f", {said}"
    where = shown(out / f"{entry.name}{JSON}")
    wrong = f" ({entry.error.rstrip('.')})" if entry.error else ""
    print(f"{shown(Path(entry.video).name)}: {entry.seconds:.1f} s, {faces}{what}{wrong}: {where}")


@contextmanager
def _bar(title: str) -> Iterator[Bar]:
    """Show progress on stderr, over the seconds of the video, if anyone can see it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(title), total=None)

        def begin(what: str) -> Callable[[float, float | None], None]:
            bar.reset(task, description=escape(f"{what} {title}"[:60]), total=None)

            def told(done: float, total: float | None) -> None:
                bar.update(task, completed=done, total=total)

            return told

        yield begin
