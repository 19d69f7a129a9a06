"""``dfer data faces``: raw labelled videos to a data set of face clips."""

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from dfer.datasets.faces.clips import CutSettings
from dfer.datasets.faces.lists import (
    Cutting,
    clip_list,
    clips_by_label,
    dropped_list,
    find_dropped,
    print_summary,
    split_rule,
)
from dfer.datasets.faces.record import ABOUT, FaceRecord, describe
from dfer.datasets.faces.sheet import face_sheet
from dfer.datasets.faces.sources import Source, Sources, read_sources
from dfer.datasets.faces.workers import Bench, Job, cut_many
from dfer.datasets.index import progress_bar
from dfer.datasets.listing import contents, existing_root
from dfer.datasets.synthetic.mark import MARK, is_drawn, mark_drawn
from dfer.errors import InputError, ItemError
from dfer.runs import write_atomically
from dfer.video.crop import FaceGeometry
from dfer.video.detect import FaceDetector
from dfer.video.find_detector import find_detector
from dfer.video.whole_frame import WholeFrame

Layout = Literal["auto", "ravdess", "crema-d", "folder", "videos"]


def faces(
    root: Path,
    out: Path,
    *,
    detector: Literal["auto", "blaze_face", "cascade", "whole_frame"] = "auto",
    detector_model: Path | None = None,
    size: int = FaceGeometry.size,
    eye_distance: float = FaceGeometry.eye_distance,
    eye_height: float = FaceGeometry.eye_height,
    min_face: int = 48,
    min_seconds: float = 0.5,
    all_faces: bool = False,
    keep_damaged: bool = False,
    quality: int = 95,
    layout: Layout = "auto",
    workers: int = 2,
    overwrite: bool = False,
) -> int:
    """Turn raw labelled videos into a data set of face clips; exit 3, and a list, where videos have no clip.

    Leaves a folder of frames for each video, clips.csv to train on, faces.json (how they were cut, which training hands
    on to prediction), dropped.csv, and faces.jpg to look at; clips of drawn videos stay marked as drawn. The same
    command goes on after an interruption and does what is new.

    Args:
        root: folders of videos: a folder per class (perhaps below train and test), RAVDESS, CREMA-D, or any others,
            which stay without labels.
        out: a new folder, or one that this command made.
        detector: what finds faces; whole_frame takes every frame as it is.
        detector_model: a BlazeFace .tflite file.
        size: side of the clips in pixels.
        eye_distance: from eye to eye, in shares of the side.
        eye_height: of the eyes from the top, in shares of the side.
        min_face: pixels; a face that is smaller in the video makes no clip.
        min_seconds: a face that is there for a shorter time makes no clip.
        all_faces: every face of a video makes a clip, not only the one that is there longest.
        keep_damaged: take what can be read of damaged videos.
        quality: of the JPEG files.
        layout: how labels are read; auto finds out.
        workers: processes, each with a detector; 0 works in this one.
        overwrite: cut all again, perhaps with other settings.
    """
    root = existing_root(root)
    check_out(root, out)
    try:
        geometry = FaceGeometry(size, eye_distance, eye_height)
    except ValueError as error:
        raise InputError(str(error)) from error
    settings = CutSettings(geometry, min_face, min_seconds, quality, all_faces, keep_damaged)
    found = find_detector(detector, detector_model)
    return make_faces(
        root, out, found, settings, model=detector_model, layout=layout, workers=workers, overwrite=overwrite
    )


def make_faces(
    root: Path,
    out: Path,
    detector: FaceDetector,
    settings: CutSettings,
    *,
    model: Path | None = None,
    layout: Layout = "auto",
    workers: int = 2,
    overwrite: bool = False,
) -> int:
    """Do what `faces` does, with a detector of one's own.

    Args:
        detector: can be pickled, unless ``workers`` is 0.
        model: the detector's file, if it was chosen: another one is another setting.

    Raises:
        InputError: no video, a folder that cannot be used, or clips cut with other settings.
        ItemError: no video gave a clip.
        KeyboardInterrupt: stopped by Ctrl-C; what was done stays done.
    """
    check_out(root, out)
    if workers < 0:
        raise InputError(f"workers {workers}: give 0 or more")
    sources = read_sources(root, layout, settings.all_faces)
    if isinstance(detector, WholeFrame):
        settings = replace(settings, min_face=0)  # the frame's size says nothing of the face's
    about = describe(sources.layout, detector, model, settings) | {"split": split_rule(sources)}
    print(f"{root}: {_what(sources)}", file=sys.stderr)
    with FaceRecord(out, root) as record:
        _check_videos(record, sources, overwrite)
        record.start(about, overwrite)
        if is_drawn(root):
            mark_drawn(out)
        else:
            (out / MARK).unlink(missing_ok=True)
        for video in record.videos - {source.video for source in sources.wanted}:
            record.forget(video)  # it is gone, or lies elsewhere now, perhaps in another class
        cuttings = _cut_missing(record, sources.wanted, detector, settings, workers)
        return _finish(out, sources, cuttings, settings.all_faces)


def check_out(root: Path, out: Path) -> None:
    """Check that clips can go to a folder without touching anything else.

    Raises:
        InputError: it is a file, within the videos, or holds something else.
    """
    if out.is_symlink() and not out.exists():
        raise InputError(f"{out} is a link to nothing; name a new folder")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a new folder")
    inner, outer = out.resolve(), root.resolve()
    if inner == outer or outer in inner.parents:
        raise InputError(f"{out} lies within the videos {root}; name a folder elsewhere")
    try:
        if out.exists() and not (out / ABOUT).is_file() and any(path.name[0] != "." for path in out.iterdir()):
            raise InputError(f"{out} is not empty ({contents(out)}) and not of this command; name a new folder")
    except OSError as error:
        raise InputError(f"cannot look into {out}: {error.strerror}; choose another folder") from error


def _check_videos(record: FaceRecord, sources: Sources, overwrite: bool) -> None:
    there = {source.video for source in sources.wanted} | set(sources.unfit)
    if record.videos and not record.videos & there and not overwrite:
        raise InputError(
            f"{record.out} holds the clips of other videos ({min(record.videos)}, for one) than {record.root}; name "
            "another folder, or cut all again with --overwrite"
        )


def _what(sources: Sources) -> str:
    count = f"{len(sources.wanted)} video" + "s" * (len(sources.wanted) != 1)
    labels = {source.known.label for source in sources.wanted}
    subjects = {source.known.subject for source in sources.wanted} - {""}
    if labels == {""}:
        return f"{count} without labels (frames alone, no clips.csv)"
    names = ", ".join(sorted(labels)[:12])
    actors = f" of {len(subjects)} actors" if subjects else ""
    return f"layout {sources.layout}, {count}{actors}, {len(labels)} labels: {names}"


def _cut_missing(
    record: FaceRecord, wanted: Sequence[Source], detector: FaceDetector, settings: CutSettings, workers: int
) -> list[Cutting]:
    """Cut what is not done yet; give all in the order of the videos."""
    done = {source.video: cut for source in wanted if (cut := record.find(source)) is not None}
    left = [source for source in wanted if source.video not in done]
    for source in left:
        record.forget(source.video)
    jobs = [Job(number, record.root / source.video, source.clip) for number, source in enumerate(left)]
    stamps = [record.stamp(source) for source in left]
    before = len(done)
    bench = Bench(record.out, record.partial, detector, settings)
    try:
        with progress_bar() as progress, closing(cut_many(jobs, bench, workers)) as cut_ones:
            task = progress.add_task("cutting faces", total=len(jobs))
            for job, cut in cut_ones:
                source = left[job.number]
                record.add(source, stamps[job.number], cut)
                done[source.video] = cut
                progress.advance(task)
    except KeyboardInterrupt as end:
        raise KeyboardInterrupt(
            f"interrupted after {len(done)} of {len(wanted)} videos ({before} of them done before); the same command "
            "goes on"
        ) from end
    return [Cutting(source, done[source.video]) for source in wanted]


def _finish(out: Path, sources: Sources, cuttings: Sequence[Cutting], all_faces: bool) -> int:
    """Write the lists and the picture, and say what came of it."""
    kept = [cutting for cutting in cuttings if cutting.cut.clips]
    dropped = find_dropped(sources, cuttings)
    write_atomically(out / "dropped.csv", dropped_list(dropped))
    print_summary(sources, kept, dropped)
    if not kept:
        for name in ("clips.csv", "faces.jpg"):
            with suppress(OSError):
                (out / name).unlink()
        raise ItemError(f"none of {len(cuttings)} videos gave a clip; {out / 'dropped.csv'} says why")
    by_label = clips_by_label(kept)
    sheet = face_sheet(out, {label: [(one.clip, one.frames) for one in clips] for label, clips in by_label.items()})
    write_atomically(out / "faces.jpg", sheet)
    if "" not in by_label:
        write_atomically(out / "clips.csv", clip_list(kept, all_faces))
        print(f"train: dfer train csv/baseline --data.root {out / 'clips.csv'} --out RUN")
    print(f"look: {out / 'faces.jpg'}")
    faulty = sum(not one.by_rule for one in dropped)
    if faulty:
        count = len(sources.wanted) + len(sources.unfit)
        print(f"dfer: {faulty} of {count} videos gave no clip; {out / 'dropped.csv'} says why", file=sys.stderr)
    return 3 if faulty else 0
