"""What a set of face clips comes with: the list to train on, the list of what was dropped, a summary."""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dfer.datasets.faces.clips import Clip, Cut
from dfer.datasets.faces.sources import Source, Sources
from dfer.datasets.folder import read_set
from dfer.datasets.listing import order_labels
from dfer.video.container import shown

TEST_SHARE: Final = 0.2


class Cutting(NamedTuple):
    """One video and what became of it."""

    source: Source
    cut: Cut


class Dropped(NamedTuple):
    """A video without a clip; ``by_rule`` where that is as it should be."""

    video: str
    reason: str
    detail: str
    by_rule: bool = False


def split_rule(sources: Sources) -> str:
    """Say in a few words how clips are shared out; empty where they have no labels."""
    known = sources.wanted[0].known
    if known.split:
        return "by the folders train and test"
    if known.subject:
        return "no actor in both: the first fifth of the actors, by the SHA-256 of their numbers, is test"
    return "in each class, the first fifth of the clips, by the SHA-256 of their paths, is test" * bool(known.label)


def splits_of(cuttings: Sequence[Cutting]) -> dict[str, str]:
    """Put each video's main clip into ``train`` or ``test``; an actor's clips stay together.

    Where neither folders nor actors are known, the rule is that of `dfer.datasets.FolderClips`.
    """
    sources = [cutting.source for cutting in cuttings]
    subjects = {source.known.subject for source in sources} - {""}
    if subjects:
        ordered = sorted(subjects, key=lambda subject: hashlib.sha256(subject.encode()).digest())
        tested = set(ordered[: min(max(round(TEST_SHARE * len(ordered)), 1), len(ordered) - 1)])
        return {source.clip: "test" if source.known.subject in tested else "train" for source in sources}
    if any(source.known.split for source in sources):
        return {source.clip: source.known.split for source in sources}
    clips = [source.clip for source in sources]
    return {clips[place]: split for split in ("train", "test") for _, place in read_set(clips, split, TEST_SHARE)}


def clip_list(cuttings: Sequence[Cutting], all_faces: bool) -> str:
    """Write ``clips.csv`` as `dfer.datasets.CSVClips` reads it.

    With all faces of a video, and no actors known, the video is the subject: its faces stay together.
    """
    splits = splits_of(cuttings)
    has_subject = all_faces or any(cutting.source.known.subject for cutting in cuttings)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip", "label", "split", *["subject"] * has_subject, "frames"])
    for source, cut in cuttings:
        subject = [source.known.subject or source.clip] * has_subject
        writer.writerows([one.clip, source.known.label, splits[source.clip], *subject, one.frames] for one in cut.clips)
    return text.getvalue()


def dropped_list(dropped: Sequence[Dropped]) -> str:
    """Write ``dropped.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "reason", "detail"])
    writer.writerows([shown(one.video), one.reason, shown(one.detail)] for one in dropped)
    return text.getvalue()


def find_dropped(sources: Sources, cuttings: Sequence[Cutting]) -> list[Dropped]:
    """List the videos without a clip, those first that were not even opened."""
    unfit = [
        Dropped(video, "left out" if one.by_rule else "misplaced", one.reason, one.by_rule)
        for video, one in sources.unfit.items()
    ]
    return unfit + [Dropped(source.video, cut.fault, cut.detail) for source, cut in cuttings if cut.fault]


def clips_by_label(cuttings: Sequence[Cutting]) -> dict[str, list[Clip]]:
    """Sort clips by their labels, ``""`` for those without, in the usual order."""
    found: dict[str, list[Clip]] = {label: [] for label in order_labels(one.source.known.label for one in cuttings)}
    for source, cut in cuttings:
        found[source.known.label] += cut.clips
    return found


def print_summary(sources: Sources, kept: Sequence[Cutting], dropped: Sequence[Dropped]) -> None:
    """Say on the screen what came of it: clips by label and split, videos dropped by reason."""
    console = Console(soft_wrap=False)
    videos = len(sources.wanted) + len(sources.unfit)
    clips = [clip for _, cut in kept for clip in cut.clips]
    frames = sum(clip.frames for clip in clips)
    if kept and kept[0].source.known.label:
        splits = splits_of(kept)
        counts = Counter((one.source.known.label, splits[one.source.clip]) for one in kept for _ in one.cut.clips)
        table = Table("clips", *("train", "test"), "all")
        for label in order_labels(label for label, _ in counts):
            row = [counts[label, "train"], counts[label, "test"]]
            table.add_row(escape(label), *map(str, row), str(sum(row)))
        console.print(table)
    console.print(f"videos: {videos}, clips: {len(clips)}, frames: {frames}", highlight=False)
    partly = [source.video for source, cut in kept if cut.detail]
    if partly:
        more = ", ..." if len(partly) > 3 else ""
        text = f"{len(partly)} damaged, kept in part: {', '.join(map(shown, partly[:3]))}{more}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    for reason, count in Counter(one.reason for one in dropped).most_common():
        first = next(one for one in dropped if one.reason == reason)
        detail = f" ({first.detail})" if first.detail else ""
        text = f"{count} without a clip, {reason}: {shown(first.video)}{shown(detail)}" + ", ..." * (count > 1)
        console.print(text, highlight=False, markup=False, soft_wrap=True)
