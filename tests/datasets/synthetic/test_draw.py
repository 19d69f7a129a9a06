"""A clip shows what its row of the truth says, whoever draws it; and fast."""

import hashlib
import time
from dataclasses import replace

import numpy as np
import pytest

from dfer.datasets.synthetic.action_units import EXPRESSIONS
from dfer.datasets.synthetic.dataset import SyntheticFaces
from dfer.datasets.synthetic.draw import draw_clip
from dfer.datasets.synthetic.knobs import EASY, GENERATOR_VERSION, WILD, Knobs, Preset
from dfer.datasets.synthetic.truth import Role, cast, make_truth

STILL = replace(EASY, head_pose=0.0, camera_shake=0.0, speech=0.0, style_strength=0.0, frames=(32, 32))


def record(knobs: Knobs, row: int, clips: int = 14) -> dict[str, object]:
    return {str(k): v for k, v in make_truth("train", clips, knobs, 0).iloc[row].to_dict().items()}


@pytest.mark.parametrize("knobs", [EASY, WILD], ids=["easy", "wild"])
def test_frames_drawn_alone_are_those_of_the_clip(knobs: Knobs) -> None:
    truth = record(knobs, 3)
    whole = draw_clip(truth, "train", 3, 48, knobs, 0)
    wanted = np.array([7, 2, 2, 15])
    assert (draw_clip(truth, "train", 3, 48, knobs, 0, wanted) == whole[wanted]).all()


def test_change_from_rest_peaks_at_the_key_centre() -> None:
    for row in range(14):
        truth = record(STILL, row)
        if truth["true_label"] == 2:
            continue
        clip, rest = (
            draw_clip({**truth, "peak": peak}, "train", row, 64, STILL, 0).astype(int) for peak in (truth["peak"], 0.0)
        )
        change = np.abs(clip - rest).sum(axis=(1, 2, 3))
        shown = np.flatnonzero(change > 0.5 * np.quantile(change, 0.95))
        assert shown.mean() == pytest.approx(truth["centre"], abs=1.5), row
        assert len(shown) == pytest.approx(truth["width"], abs=5), row
        assert abs(int(change.argmax()) - float(truth["centre"])) < float(truth["width"]) / 2, row  # type: ignore[arg-type]


def test_a_stronger_peak_changes_more() -> None:
    row = int(np.flatnonzero(make_truth("train", 14, STILL, 0).true_label == 4)[0])
    truth = record(STILL, row)

    def change(peak: float) -> float:
        clip = draw_clip({**truth, "peak": peak}, "train", row, 64, STILL, 0).astype(float)
        middle = round(float(truth["centre"]))  # type: ignore[arg-type]
        return float(np.abs(clip[middle] - clip[0]).mean())

    assert change(0.2) < change(0.6) < change(1.0)


def test_an_occlusion_is_drawn() -> None:
    truth = record(STILL, 0)
    plain = draw_clip(truth, "train", 0, 64, STILL, 0).astype(int)
    for kind in ("hand", "glasses", "hair"):
        covered = draw_clip({**truth, "occlusion": kind}, "train", 0, 64, STILL, 0)
        assert (np.abs(covered - plain).sum(axis=-1) > 60).mean() > 0.02, kind


@pytest.mark.parametrize(("preset", "pixels"), [("easy", "30972e9084803963"), ("wild", "38c8e2f457d2f424")])
def test_a_version_of_the_generator_always_draws_the_same(preset: Preset, pixels: str) -> None:
    faces = SyntheticFaces("train", 32, 5, preset=preset, clips=(7, 1), cache=False)
    drawn = hashlib.sha256(b"".join(faces.draw(row).tobytes() for row in range(7))).hexdigest()[:16]
    assert (GENERATOR_VERSION, drawn) == (2, pixels), "raise GENERATOR_VERSION where pixels change on purpose"


def test_every_expression_looks_like_no_other() -> None:
    peaks = []
    for expression in EXPRESSIONS:
        truth = cast([Role(expression, 5, 16)], STILL, 0)[0]
        middle = 8 if expression == "neutral" else round(truth["centre"])
        peaks.append(draw_clip({**truth, "peak": truth["peak"] and 1.0}, "train", 0, 64, STILL, 0)[middle].astype(int))
    for row, one in enumerate(peaks):
        for other in peaks[:row]:
            assert (np.abs(one - other).sum(axis=-1) > 40).sum() > 30, EXPRESSIONS[row]


def test_contempt_is_drawn_on_one_side() -> None:
    truth = cast([Role("contempt", 3, 16)], STILL, 0)[0]
    clip, rest = (
        draw_clip({**truth, "peak": peak}, "train", 0, 64, STILL, 0)[round(truth["centre"])].astype(int)
        for peak in (1.0, 0.0)
    )
    change = np.abs(clip - rest).sum(axis=(0, 2))
    halves = sorted([change[:32].sum(), change[32:].sum()])
    assert halves[1] > 1.5 * halves[0]


@pytest.mark.slow
@pytest.mark.parametrize("knobs", [EASY, WILD], ids=["easy", "wild"])
def test_at_least_240_frames_per_second(knobs: Knobs) -> None:
    truth = make_truth("train", 30, knobs, 0)
    start, frames = time.process_time(), 0
    for row in range(12):
        frames += len(draw_clip({str(k): v for k, v in truth.iloc[row].to_dict().items()}, "train", row, 112, knobs, 0))
    assert frames / (time.process_time() - start) >= 240
