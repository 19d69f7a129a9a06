"""A crop has the eyes where its geometry says, wherever and however large the face is."""

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

from dfer.errors import InputError
from dfer.video.crop import FaceGeometry, Pose, align, crop_pose, face_pose
from dfer.video.detect import Box


def eyes_at(x: float, y: float, distance: float, degrees: float) -> NDArray[np.float64]:
    half = distance / 2 * np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    return np.array([x, y]) + np.array([-half, half])


def box_around(x: float, y: float, distance: float) -> Box:
    half = 2.45 * distance / 2
    return Box(x - half, y - half * 0.8, x + half, y + half * 1.2)


def dots(height: int, width: int, places: NDArray[np.float64], radius: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width] + 0.5
    grey = np.full((height, width), 40.0)
    for at_x, at_y in places:
        grey += 200 * np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * radius**2))
    return np.repeat(grey.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


def centre_near(crop: NDArray[np.uint8], x: float, y: float, reach: float) -> tuple[float, float]:
    rows, columns = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    weight = (crop[..., 0].astype(float) - 44).clip(0) * ((columns - x) ** 2 + (rows - y) ** 2 < reach**2)
    assert weight.sum() > 0
    return float((weight * columns).sum() / weight.sum()), float((weight * rows).sum() / weight.sum())


@pytest.mark.parametrize("distance", [12, 30, 63, 110, 250])
@pytest.mark.parametrize("degrees", [-44, -12, 0, 5, 30])
@pytest.mark.parametrize("geometry", [FaceGeometry(), FaceGeometry(112, 0.4, 0.36)])
def test_eyes_lie_at_their_place_within_a_fifth_of_a_pixel(
    distance: float, degrees: float, geometry: FaceGeometry
) -> None:
    eyes = eyes_at(330.3, 170.7, distance, degrees)
    frame = dots(360, 640, eyes, max(2.0, distance / 15))
    crop = align(frame, eyes, box_around(330.3, 170.7, distance), geometry)
    side = geometry.size
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    assert crop.flags.c_contiguous
    for sign in (-1, 1):
        wanted = side / 2 + sign * side * geometry.eye_distance / 2, side * geometry.eye_height
        assert centre_near(crop, *wanted, reach=side * 0.12) == pytest.approx(wanted, abs=0.2)


def stripes(length: int, period: float, degrees: float) -> NDArray[np.uint8]:
    y, x = np.mgrid[:length, :length] + 0.5
    along = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    return np.repeat((127.5 + 100 * np.sin(2 * np.pi * along / period)).round().astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("scale", [1.5, 2.0, 3.3, 8.0])
@pytest.mark.parametrize("degrees", [10, 75])
def test_shrinking_keeps_what_the_crop_can_show_and_averages_the_rest(scale: float, degrees: float) -> None:
    geometry, side = FaceGeometry(96), int(96 * scale * 1.6)
    pose = Pose(side / 2, side / 2, scale * 0.27 * 96, 0.15)
    for pixels, least, most in ((5.0, 0.9, 1.05), (1.25, 0.0, 0.15)):  # of the crop per stripe; below 2 none shows
        if pixels * scale < 1.9:
            continue
        crop = crop_pose(stripes(side, pixels * scale, degrees), pose, geometry)
        contrast = crop[10:-10, 10:-10, 0].std() * math.sqrt(2) / 100
        assert least <= contrast <= most, (pixels, contrast)


def test_enlarging_is_smooth() -> None:
    geometry, scale = FaceGeometry(160), 0.2
    pose = Pose(30.4, 29.7, scale * 0.27 * 160, 0.3)
    crop = crop_pose(stripes(60, 8.0, 20), pose, geometry).astype(float)[..., 0]
    y, x = np.mgrid[:160, :160] + 0.5
    u, v = scale * (x - 80), scale * (y - 0.42 * 160)
    across, down = math.cos(0.3) * u - math.sin(0.3) * v + 30.4, math.sin(0.3) * u + math.cos(0.3) * v + 29.7
    along = across * math.cos(math.radians(20)) + down * math.sin(math.radians(20))
    wanted = 127.5 + 100 * np.sin(2 * np.pi * along / 8.0)
    assert np.abs(crop - wanted).mean() < 2.5  # nearest pixels would be off by 20
    assert np.abs(crop - wanted).max() < 9


def test_beyond_the_frame_its_last_pixels_go_on() -> None:
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[:, :, 0] = np.arange(100)[:, None] + 50  # rows tell apart
    crop = crop_pose(frame, Pose(4, 50, 0.27 * 96, 0), FaceGeometry(96))
    assert (crop[:, :40, 0] == crop[:, 43:44, 0]).all()
    assert crop[40, 0, 0] == pytest.approx(50 + 50 + 40 - 0.42 * 96, abs=1)
    assert (crop[..., 1:] == 0).all()


@pytest.mark.parametrize("place", [(-4000.0, 50.0), (4000.0, 50.0), (50.0, -4000.0), (50.0, 4000.0)])
def test_a_face_wholly_outside_is_made_of_the_nearest_edge(place: tuple[float, float]) -> None:
    frame = np.full((40, 60, 3), 9, np.uint8)
    assert (crop_pose(frame, Pose(*place, 30, 0.4), FaceGeometry(32)) == 9).all()


def test_sizes_far_from_the_frame_s_need_no_more_memory() -> None:
    frame = np.full((1, 1, 3), 7, np.uint8)
    for distance in (1e-6, 1.0, 1e7):
        assert (crop_pose(frame, Pose(0.5, 0.5, distance, 0.2), FaceGeometry(64)) == 7).all()


class Called(TorchFunctionMode):
    """Writes down which of torch's functions are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.__name__)
        return func(*args, **(kwargs or {}))


def test_torch_shares_no_step_out_to_other_threads() -> None:
    # Of one picture grid_sample stays on its thread; other steps would wait for busy cores, 70 ms in place of 2.
    frame = np.zeros((300, 400, 3), np.uint8)
    with Called() as called:
        crop_pose(frame, Pose(200.0, 150.0, 90.0, 0.2), FaceGeometry())
    assert called.names <= {"grid_sample", "grid_sampler", "permute", "__getitem__", "numpy"}
    assert "grid_sample" in called.names


def test_the_frame_is_left_as_it_was_and_the_crop_is_no_view() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    before = frame.copy()
    crop = crop_pose(frame, Pose(32, 28.7, 0.27 * 64, 0), FaceGeometry(64))
    crop[:] = 0
    assert (frame == before).all()


def test_frames_that_may_not_be_written_or_are_not_contiguous_do() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8)
    pose, geometry = Pose(40, 30, 12, 0.1), FaceGeometry(48)
    wanted = crop_pose(frame, pose, geometry)
    turned = np.rot90(np.ascontiguousarray(np.rot90(frame)), -1)
    turned.flags.writeable = False
    assert (crop_pose(turned, pose, geometry) == wanted).all()


def test_a_profile_does_not_explode() -> None:
    box = Box(100, 100, 200, 200)
    for distance in (29.0, 10.0, 1.0, 0.0):
        assert face_pose(eyes_at(150, 140, distance, 0), box).distance == pytest.approx(30)
    assert face_pose(eyes_at(150, 140, 41, 0), box).distance == pytest.approx(41)
    assert face_pose(eyes_at(150, 140, 95, 0), box).distance == pytest.approx(60)
    flat = Box(5, 5, 5, 5)
    assert face_pose(eyes_at(5, 5, 0, 0), flat) == Pose(5, 5, 1, 0)


def test_the_angle_is_limited_and_fades_with_the_eyes_distance() -> None:
    box = Box(100, 100, 200, 200)
    assert face_pose(eyes_at(150, 140, 40, 20), box).angle == pytest.approx(math.radians(20))
    assert face_pose(eyes_at(150, 140, 40, 80), box).angle == pytest.approx(math.radians(45))
    assert face_pose(eyes_at(150, 140, 40, -80), box).angle == pytest.approx(math.radians(-45))
    assert face_pose(eyes_at(150, 140, 15, 20), box).angle == pytest.approx(math.radians(10))
    assert face_pose(eyes_at(150, 140, 0, 20), box).angle == 0


def test_a_geometry_comes_back_from_its_dict() -> None:
    geometry = FaceGeometry(112, 0.3, 0.4)
    assert FaceGeometry.from_dict(geometry.to_dict()) == geometry
    assert FaceGeometry.from_dict({**geometry.to_dict(), "more": 1}) == geometry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": None}, "the geometry of the faces is damaged"),
        ({"size": 1.5}, "the geometry of the faces is damaged: size 1.5: no whole number"),
        ({"size": True}, "the geometry of the faces is damaged: size True: no whole number"),
        ({"size": 0}, "the geometry of the faces is damaged: size 0: a crop has at least 1 pixel"),
        ({"size": math.inf}, "the geometry of the faces is damaged"),
        ({"eye_distance": "wide"}, "the geometry of the faces is damaged"),
        ({"eye_distance": 1.0}, "eye_distance 1.0: a fraction of the crop's side lies between 0 and 1"),
        ({"eye_height": math.nan}, "eye_height nan: a fraction of the crop's side lies between 0 and 1"),
    ],
)
def test_a_damaged_geometry_is_refused_in_one_line(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as error:
        FaceGeometry.from_dict({**FaceGeometry().to_dict(), **change})
    assert "\n" not in str(error.value)


def test_a_missing_value_and_a_wrong_kind_are_named() -> None:
    with pytest.raises(InputError, match="the geometry of the faces is damaged: eye_height is missing"):
        FaceGeometry.from_dict({"size": 3, "eye_distance": 0.3})
    with pytest.raises(InputError, match="the geometry of the faces is damaged"):
        FaceGeometry.from_dict([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size 0"):
        FaceGeometry(0)
