"""Is a copy of a data set whole and right?"""

from pathlib import Path

from dfer.datasets.build import DATASETS, full_name
from dfer.datasets.check.decode_all import decode_all
from dfer.datasets.check.files import refuse_foreign, write_files
from dfer.datasets.check.findings import Findings, look_over
from dfer.datasets.check.packed_copies import check_packed
from dfer.datasets.check.report import Report, as_json, as_list, print_report
from dfer.datasets.check.shared_frames import find_shared_frames
from dfer.datasets.check.sides import Sides
from dfer.datasets.check.similar import Pair, find_similar
from dfer.datasets.check.similar_sheet import similar_sheet
from dfer.datasets.check.twins import find_twins
from dfer.errors import InputError


def index(name: str, root: Path) -> int:
    """Index a data set's files once, so that it opens at once.

    Args:
        name: of the data set, such as dfew, ferv39k, folder or csv.
        root: the data set's folder; for csv the CSV file.
    """
    chosen = DATASETS[full_name(name)]
    for media in chosen.media_in(Path(root)) or (None,):
        part = chosen.survey(Path(root), media).index
        frames = int(part.counts.sum())
        unusable = int((part.counts == 0).sum())
        print(f"{part.root}: {len(part.clips)} clips, {frames} frames" + f", {unusable} without any" * (unusable > 0))
    return 0


def check(
    name: str,
    root: Path,
    *,
    media: str | None = None,
    decode: bool = False,
    similar: bool = False,
    frames: int = 16,
    out: Path | None = None,
    json: bool = False,
) -> int:
    """Say whether a copy of a data set is whole and right; exit 3 where it is not.

    Compares counts with the published ones; finds clips that are missing, empty, listed twice, or on both sides by
    their name, their subject or their bytes; opens the packed copies. Leaves a list of the clips to leave out (where
    something is wrong), all findings as JSON, and histograms of classes and lengths.

    Args:
        name: of the data set, such as dfew, ferv39k, folder or csv.
        root: the data set's folder; for csv the CSV file.
        media: a kind of media of the data set, such as frames; the first that is there unless given.
        decode: decode every frame too, find those that two clips share, and verify packed copies.
        similar: look for pairs of clips with nearly the same pictures too.
        frames: count the clips with fewer frames than this.
        out: the list, check-NAME.txt unless given; data sets take it as exclude. The other files lie beside it.
        json: print the findings as JSON.
    """
    name, root = full_name(name), Path(root)
    out = out or Path(f"check-{name}.txt")
    refuse_foreign(out)
    if frames < 1:
        raise InputError(f"cannot count clips with fewer than {frames} frames; give at least 1")
    chosen = DATASETS[name]
    if media is not None and media not in chosen.MEDIA:
        kinds = f"choose one of {', '.join(chosen.MEDIA)}" if chosen.MEDIA else "leave the option out"
        raise InputError(f"{name} has no media {media!r}; {kinds}")
    survey = chosen.survey(root, media)
    found, sides, pairs = Findings(), Sides(survey.parts), list[Pair]()
    look_over(survey, frames, found)
    check_packed(survey.index, survey.entries(), f"{name} {root}", decode, found)
    twins = find_twins(survey.index, sides, found)
    if decode:
        find_shared_frames(decode_all(survey.index, sides, frames, found), sides, twins, found)
    if similar:
        pairs = find_similar(survey.index, sides, twins, found)
    not_looked = {} if decode else {"unreadable frames": "--decode"}
    not_looked |= {} if similar else {"similar pictures": "--similar"}
    report = Report(name, root, survey, found, frames, not_looked)
    failed = write_files(report, out, similar_sheet(survey.index, sides, pairs) if pairs else None)
    if json:
        print(as_json(report), end="")
    else:
        print_report(report)
        if failed and found.problems:
            print(as_list(report), end="")  # it stands nowhere else
    if failed:
        raise failed
    return 3 if found.problems else 0
