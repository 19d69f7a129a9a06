"""What an audit is worth: its verdicts against the labels that are truly wrong, which drawn faces tell."""

import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, NamedTuple, cast

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor, nn

from dfer.datasets import SyntheticFaces
from dfer.errors import InputError
from dfer.evaluation.beside import names_of
from dfer.evaluation.predict import predict
from dfer.evaluation.suspicion import Audit, suspicion_order
from dfer.evaluation.tabular import Cell, Format, Mean, Tabular, written
from dfer.reweight import HARD, NOISY, VERDICTS, verdicts
from dfer.types import Output

Rows = NDArray[np.bool_]
Values = NDArray[np.float64]

BEST: Final = "best model"
RECORD: Final = "in training"

ABOUT: Final = (
    "Over the clips that were trained on. Agreement + loss: the audit's noisy clips, and its order. Loss alone: as "
    "many clips, those of the largest loss. Confident learning: cleanlab, on the same predictions, which are of clips "
    "the model has learnt. In training: what the run noted when it saw a clip last, augmented and in training mode. "
    "Clips flagged at random are wrong as often as the share of wrong labels, and have an AUROC of 0.5."
)

ABOUT_HARD: Final = (
    "Shown: clips that show an expression; weak: the third of these with the smallest peak. Distractor: another "
    "expression before or after the key one. Wrong: the label is."
)

ABOUT_CENTRE: Final = (
    "Mean absolute error in frames of the centre of the key expression, on test clips that show one; the best constant "
    "is the share of a clip's length that is best on these very clips. The correlation and the spread are of shares of "
    "the length."
)

NO_CLEANLAB: Final = "Confident learning is left out: cleanlab is not installed; `pip install cleanlab`."


@dataclass(frozen=True)
class Detection:
    """How well wrong labels were found among ``clips``; None where there is none to find or none was flagged."""

    clips: int
    wrong: float
    flagged: float
    precision: float | None
    recall: float | None
    auroc: float | None


@dataclass(frozen=True)
class HardShare:
    """Share of hard clips among some, None of none: all, those that show an expression, weak ones, ..."""

    all: float | None
    shown: float | None
    weak: float | None
    distractor: float | None
    wrong: float | None


@dataclass(frozen=True)
class Centre:
    """How far the detected centre of the key expression is from the true one, in frames."""

    clips: int
    error: float
    middle: float
    constant: float
    correlation: float | None
    spread: float


@dataclass(frozen=True)
class Truth:
    """One run against what is true: wrong labels by source and method, hard clips by source, the centre."""

    detection: Mapping[tuple[str, str], Detection]
    hard: Mapping[str, HardShare]
    centre: Centre | None


class Judged(NamedTuple):
    """Clips as one source saw them, each ``(N,)``."""

    agreement: Values
    loss: Values
    verdict: NDArray[np.int64]


def auroc(score: Values, positive: Rows) -> float | None:
    """Give the probability that a positive clip scores higher than another, ties counting half; None without both.

    Example:
        >>> auroc(np.array([3.0, 1.0, 2.0, 1.0]), np.array([True, True, False, False]))
        0.625
    """
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return None
    above = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return float(above / (count * others))


def detection(wrong: Rows, flagged: Rows, score: Values) -> Detection:
    """Measure flags and a score against the labels that are wrong.

    Example:
        >>> wrong, flagged = np.array([True, True, False, False]), np.array([True, False, True, False])
        >>> found = detection(wrong, flagged, np.array([4.0, 2.0, 3.0, 1.0]))
        >>> found.precision, found.recall, found.auroc
        (0.5, 0.5, 0.75)
    """
    hits = int((wrong & flagged).sum())
    return Detection(
        clips=len(wrong),
        wrong=float(wrong.mean()),
        flagged=float(flagged.mean()),
        precision=_share(hits, flagged),
        recall=_share(hits, wrong),
        auroc=auroc(score, wrong),
    )


def by_agreement_and_loss(judged: Judged) -> tuple[Rows, Values]:
    """Flag what was judged noisy; score by the audit's order."""
    score = np.empty(len(judged.loss))
    score[suspicion_order(judged.verdict, judged.agreement, judged.loss)] = -np.arange(len(score))
    return judged.verdict == NOISY, score


def by_loss(judged: Judged) -> tuple[Rows, Values]:
    """Flag as many clips as were judged noisy, those of the largest loss; score by the loss."""
    flagged = np.zeros(len(judged.loss), bool)
    flagged[np.argsort(-judged.loss, kind="stable")[: int((judged.verdict == NOISY).sum())]] = True
    return flagged, judged.loss


def by_confident_learning(label: NDArray[np.int64], probabilities: Values) -> tuple[Rows, Values] | None:
    """Flag and score with confident learning; None where cleanlab is not installed.

    Paper: Northcutt et al. 2021, "Confident Learning". Its defaults: pruning by noise rate, and self-confidence.

    Shape:
        label ``(N,)``, probabilities ``(N, K)``.
    """
    try:
        from cleanlab.filter import find_label_issues  # it takes seconds to import
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")  # of a class with few clips
        flagged = np.asarray(find_label_issues(label, probabilities, n_jobs=1), bool)
    return flagged, -np.asarray(get_label_quality_scores(label, probabilities), np.float64)


def hard_share(hard: Rows, peak: Values, distractor: Rows, wrong: Rows) -> HardShare:
    """Measure which clips are hard; weak is the third with the smallest peak above 0, at least one clip."""
    shown = peak > 0
    weakest = np.flatnonzero(shown)[np.argsort(peak[shown], kind="stable")]
    weak = np.zeros(len(peak), bool)
    weak[weakest[: max(1, len(weakest) // 3)]] = True
    groups = {"all": np.ones(len(peak), bool), "shown": shown, "weak": weak, "distractor": distractor, "wrong": wrong}
    return HardShare(**{name: _share(int((hard & of).sum()), of) for name, of in groups.items()})


def centre_error(mu: Values, centre: Values, frames: Values) -> Centre:
    """Compare detected centres with the true ones, and with guesses that look at no clip.

    Args:
        mu: detected, as share of the clip.
        centre: true, in frames from the first.
        frames: of each clip.

    Example:
        >>> found = centre_error(np.array([0.2, 0.6]), np.array([3.0, 12.0]), np.array([10.0, 20.0]))
        >>> found.error, found.middle, found.constant, found.correlation
        (0.5, 2.0, 1.5, 1.0)
    """
    shares = centre / frames
    order = np.argsort(shares, kind="stable")
    half = np.searchsorted(np.cumsum(frames[order]), frames.sum() / 2)  # the weighted median has the least error
    best = shares[order][half]
    varied = len(mu) > 1 and mu.std() > 0 and shares.std() > 0
    return Centre(
        clips=len(mu),
        error=float(np.abs(mu * frames - centre).mean()),
        middle=float(np.abs(frames / 2 - centre).mean()),
        constant=float(np.abs(best * frames - centre).mean()),
        correlation=round(float(np.corrcoef(mu, shares)[0, 1]), 12) if varied else None,
        spread=float(mu.std()),
    )


def measure(found: Audit, *, batch_size: int = 32, workers: int = 0) -> Truth:
    """Measure one run's audit, and the centres it detects, against what is true of drawn faces.

    Raises:
        InputError: the clips are not drawn.
    """
    faces, predictions = found.clips, found.predictions
    if not isinstance(faces, SyntheticFaces):
        raise InputError(f"{found.run.path} was trained on {type(faces).__name__}; --truth is for drawn faces alone")
    truth = faces.truth.iloc[predictions.row]
    wrong = truth["noisy"].to_numpy(bool)
    peak, distractor = truth["peak"].to_numpy(np.float64), (truth["distractor"] != "none").to_numpy(bool)
    table = found.table.sort_index()
    used = np.flatnonzero(~table["held_out"].to_numpy(bool))
    seen = {BEST: (used, _judged(table.iloc[used]["agreement"], table.iloc[used]["loss"], found, table.iloc[used]))}
    if "agreement_in_training" in table:
        noted = np.flatnonzero(table["agreement_in_training"].notna().to_numpy())
        part = table.iloc[noted]
        seen[RECORD] = noted, _judged(part["agreement_in_training"], part["loss_in_training"], found)
    detections: dict[tuple[str, str], Detection] = {}
    for source, (rows, judged) in seen.items():
        detections[source, "agreement + loss"] = detection(wrong[rows], *by_agreement_and_loss(judged))
        detections[source, "loss alone"] = detection(wrong[rows], *by_loss(judged))
        if source == BEST and (
            learnt := by_confident_learning(predictions.label[rows], predictions.probabilities(1.0)[rows])
        ):
            detections[source, "confident learning"] = detection(wrong[rows], *learnt)
    hard = {
        source: hard_share(judged.verdict == HARD, peak[rows], distractor[rows], wrong[rows])
        for source, (rows, judged) in seen.items()
    }
    return Truth(detections, hard, _centre(found, batch_size, workers))


def _judged(agreement: Any, loss: Any, found: Audit, table: Any = None) -> Judged:
    """Take the audit's verdicts, or judge a record by the same shares of its clips."""
    share, size = np.asarray(agreement, np.float64), np.asarray(loss, np.float64)
    if table is not None:
        return Judged(share, size, table["verdict"].map(VERDICTS.index).to_numpy(np.int64))
    hard, noisy = found.fractions
    return Judged(share, size, verdicts(share, size, hard_fraction=hard, noisy_fraction=noisy).numpy())


class _Locator(nn.Module):
    """Hand a model's detected centres to the path that every prediction takes, as an embedding."""

    def __init__(self, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.model = model
        self.classes = classes

    def forward(self, clip: Tensor) -> Output:
        locate = cast(Callable[[Tensor], Any], self.model.locate)
        centre: Tensor = locate(clip).centre
        return Output(centre.new_zeros(len(clip), self.classes), centre[:, None])


def _centre(found: Audit, batch_size: int, workers: int) -> Centre | None:
    model = found.source.loaded.model
    if not hasattr(model, "locate") or getattr(model, "detector", None) is None:
        return None
    test = found.source.clips("test")
    assert isinstance(test, SyntheticFaces)
    shown = np.flatnonzero(test.truth["centre"].notna().to_numpy())
    if not len(shown):
        return None
    locator = _Locator(model, len(test.labels))
    settings: dict[str, Any] = {"batch_size": batch_size, "workers": workers}
    seen = predict(locator, test, shown, description="key expressions", **settings)
    truth = test.truth.iloc[shown]
    mu = seen.embedding[:, 0].astype(np.float64)
    return centre_error(mu, truth["centre"].to_numpy(np.float64), truth["frames"].to_numpy(np.float64))


def truth_tables(measured: Sequence[tuple[str, Sequence[Truth]]]) -> list[Tabular]:
    """Lay out what was measured: a row for each setting, over its runs."""
    found, hard, centre = [], [], []
    for name, of in measured:
        for source, method in of[0].detection:
            numbers = _over([one.detection[source, method] for one in of])
            found.append([name, method, source, len(of), *numbers])
        hard += [[name, source, *_over([one.hard[source] for one in of])] for source in of[0].hard]
        if located := [one.centre for one in of if one.centre is not None]:
            centre.append([name, *_over(located)])
    heads = ["clips", "wrong", "flagged", "precision", "recall", "AUROC"]
    tables = [Tabular("wrong_labels", "Wrong labels found", ["run", "by", "of", "runs", *heads], found, 3)]
    heads = [of.name for of in fields(HardShare)]
    tables.append(Tabular("hard", "Share of hard clips", ["run", "of", *heads], hard, 3))
    if centre:
        heads = ["clips", "detected", "middle", "best constant", "correlation", "spread"]
        tables.append(Tabular("centre", "Error of the key expression's centre", ["run", *heads], centre))
    return tables


def truth_text(
    found: Sequence[Audit],
    titles: Sequence[str],
    format: Format,
    *,
    options: Sequence[str] = (),
    batch_size: int = 32,
    workers: int = 0,
) -> str:
    """Measure audits, average runs that differ in their seed alone, and write the tables.

    Args:
        titles: one for each setting, in the order of their first runs.
        options: of the command that is printed with the tables.

    Raises:
        InputError: clips that are not drawn, records that some runs of a setting lack, or titles that do not fit.
    """
    settings: dict[str, list[Audit]] = {}
    for one in found:
        settings.setdefault(_settings(one), []).append(one)
    if titles and len(titles) != len(settings):
        firsts = ", ".join(str(of[0].run.path) for of in settings.values())
        raise InputError(
            f"{len(titles)} titles for {len(settings)} settings (first runs: {firsts}); give --title once for each; "
            "runs that differ in their seed alone share one"
        )
    names = names_of([of[0].run for of in settings.values()], titles)
    measured = [
        (name, [measure(one, batch_size=batch_size, workers=workers) for one in of])
        for name, of in zip(names, settings.values())
    ]
    for name, truths in measured:
        if len({tuple(one.hard) for one in truths}) > 1:
            raise InputError(f"{name}: some of its runs have an {found[0].run.agreement.name}, others not")
    located = any(one.centre for _, truths in measured for one in truths)
    missing = (BEST, "confident learning") not in measured[0][1][0].detection
    paths = [str(one.run.path) for one in found]
    return written(
        truth_tables(measured),
        format,
        title="The label audit against known truth",
        command=shlex.join(
            ["dfer", "audit", *paths, "--truth", *options, *(part for one in titles for part in ("--title", one))]
        ),
        notes=[ABOUT, ABOUT_HARD, *([ABOUT_CENTRE] if located else []), *([NO_CLEANLAB] if missing else [])],
        about={"runs": paths},
    )


def _settings(found: Audit) -> str:
    """Tell what a run was made with, but for its seed."""
    try:
        config = yaml.safe_load(found.run.config.read_text())
        config.pop("seed_everything", None)
    except (OSError, yaml.YAMLError, AttributeError):
        return str(found.run.path.resolve())
    return yaml.safe_dump(config, sort_keys=True)


def _over(found: Sequence[Any]) -> list[Cell]:
    """Average each field of some runs' measurements; as it is for one run, empty where a run has none."""
    return [_mean([asdict(one)[field.name] for one in found]) for field in fields(found[0])]


def _mean(values: Sequence[Any]) -> Cell:
    if None in values:
        return None
    if len(values) == 1:
        return cast(Cell, values[0])
    if all(isinstance(value, int) for value in values):
        return int(np.rint(np.mean(values)))
    return Mean(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))


def _share(hits: int, of: Rows) -> float | None:
    count = int(of.sum())
    return hits / count if count else None
