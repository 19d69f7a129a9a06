from pathlib import Path

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from dfer.backbones import r3d_18
from dfer.backbones.resnet_frames import resnet18
from dfer.modules import KeyExpressionDetector, resample_clip
from dfer.modules.key_expression import sample_positions


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


class TinyFrames(nn.Module):
    """A backbone of one convolution on every frame."""

    mean = (0.5, 0.375, 0.25)
    std = (0.25, 0.125, 0.5)

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv3d(3, channels, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, clip: Tensor) -> Tensor:
        found: Tensor = self.conv(clip).relu()
        return found


def tiny(frames: int = 16, samples: int = 4, every: int = 4, summary: int = 5, *, started: bool = False) -> nn.Module:
    """Build a small detector, with weights in ``F_d`` where it shall say something."""
    detector = KeyExpressionDetector(
        TinyFrames(), frames=frames, samples=samples, every=every, summary_features=summary
    )
    if started:
        nn.init.normal_(detector.place.weight)
    return detector


def pixels(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def naive_positions(centre: float, stride: float, frames: int, dense: int) -> list[float]:
    """Sec. III-B by hand: ``[..., T mu - delta, T mu, T mu + delta, ...]``, with T mu in the place n / 2."""
    places = []
    for i in range(frames):
        k = i - frames // 2
        places.append(min(max(dense * centre + k * stride, 0.0), dense - 1.0))
    return places


def naive_resample(clip: Tensor, centre: Tensor, stride: Tensor, frames: int) -> Tensor:
    B, C, T, H, W = clip.shape
    source = clip.double() / 255 if clip.dtype == torch.uint8 else clip.double()
    taken = torch.zeros(B, C, frames, H, W, dtype=torch.float64)
    for b in range(B):
        for i, place in enumerate(naive_positions(centre[b].item(), stride[b].item(), frames, T)):
            for t in range(T):  # a frame counts by how near it is
                taken[b, :, i] += max(0.0, 1 - abs(place - t)) * source[b, :, t]
    return taken


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
@pytest.mark.parametrize(("dense", "frames"), [(64, 16), (9, 4), (9, 5), (7, 1), (5, 12), (2, 3), (1, 4)])
def test_resample_clip_is_interpolation_by_hand(dtype: torch.dtype, dense: int, frames: int) -> None:
    B = 5
    clip = pixels(B, 3, dense, 4, 3) if dtype == torch.uint8 else 100 * torch.randn(B, 3, dense, 4, 3, dtype=dtype)
    centre = torch.rand(B, dtype=torch.float64)
    stride = 0.5 + 1.5 * dense / frames * torch.rand(B, dtype=torch.float64)
    found = resample_clip(clip, centre, stride, frames)
    assert found.shape == (B, 3, frames, 4, 3)
    assert_close(found, naive_resample(clip, centre, stride, frames), rtol=0, atol=1e-10)


def test_places_of_uniform_sampling() -> None:
    places = sample_positions(torch.tensor([0.5]), torch.tensor([4.0]), 16, 64)
    assert places.tolist() == [
        [0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0, 32.0, 36.0, 40.0, 44.0, 48.0, 52.0, 56.0, 60.0]
    ]
    odd = sample_positions(torch.tensor([0.5]), torch.tensor([2.0]), 5, 20)
    assert odd.tolist() == [[6.0, 8.0, 10.0, 12.0, 14.0]]


def test_whole_places_give_the_frames_themselves() -> None:
    clip = pixels(2, 3, 64, 3, 3)
    found = resample_clip(clip, torch.full((2,), 0.5), torch.full((2,), 4.0), 16)
    assert torch.equal(found, clip[:, :, ::4] / 255)


def test_clamps_at_both_ends() -> None:
    clip = torch.randn(2, 3, 10, 2, 2)
    found = resample_clip(clip, torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0]), 6)  # -6..4 and 4..14
    assert torch.equal(found[0], clip[0][:, [0, 0, 0, 0, 2, 4]])
    assert torch.equal(found[1], clip[1][:, [4, 6, 8, 9, 9, 9]])


def test_no_gradient_from_frames_beyond_the_ends() -> None:
    clip = torch.randn(1, 3, 10, 2, 2)
    centre, stride = torch.tensor([1.0], requires_grad=True), torch.tensor([0.5], requires_grad=True)
    taken = resample_clip(clip, centre, stride, 6)  # 8.5, then 9 and more: 9 of 10 frames is the last
    inside, outside = taken[:, :, 0].sum(), taken[:, :, 3:].sum()
    of_outside = torch.autograd.grad(outside, (centre, stride), retain_graph=True)
    assert [value.item() for value in of_outside] == [0, 0]
    of_inside = torch.autograd.grad(inside, (centre, stride))
    slope = (clip[:, :, 9] - clip[:, :, 8]).sum()
    assert_close(of_inside, (10 * slope.view(1), -3 * slope.view(1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frames", [3, 4])
def test_gradcheck(frames: int) -> None:
    clip = torch.randn(2, 2, 9, 2, 1, dtype=torch.float64, requires_grad=True)
    centre = torch.tensor([0.513, 0.287], dtype=torch.float64, requires_grad=True)
    stride = torch.tensor([1.31, 2.77], dtype=torch.float64, requires_grad=True)
    places = sample_positions(centre, stride, frames, 9)
    assert ((places - places.round()).abs() > 1e-3)[places.detach().clamp(0.01, 7.99) == places].all()
    assert torch.autograd.gradcheck(lambda *given: resample_clip(*given, frames), (clip, centre, stride))


def test_clip_of_one_frame_is_repeated() -> None:
    clip = pixels(2, 3, 1, 4, 4)
    centre, stride = torch.tensor([0.2, 0.9], requires_grad=True), torch.tensor([0.5, 3.0], requires_grad=True)
    found = resample_clip(clip, centre, stride, 4)
    assert torch.equal(found, (clip / 255).expand(2, 3, 4, 4, 4))
    found.sum().backward()
    for value in (centre, stride):
        assert value.grad is not None
        assert value.grad.tolist() == [0, 0]


def test_nan_stays_visible() -> None:
    """Not an index out of range, which would take a whole GPU process down."""
    found = resample_clip(pixels(2, 3, 8, 2, 2), torch.tensor([float("nan"), 0.5]), torch.ones(2), 4)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_float_clips_keep_their_type(dtype: torch.dtype) -> None:
    clip = torch.randn(1, 3, 8, 2, 2).to(dtype)
    found = resample_clip(clip, torch.tensor([0.44]), torch.tensor([1.3]), 4)
    assert found.dtype == dtype
    expected = naive_resample(clip, torch.tensor([0.44]), torch.tensor([1.3]), 4)
    assert_close(found.double(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps + 1e-5)


def test_uint8_clip_is_not_made_float() -> None:
    """Of 64 frames the 2 x 16 next to the places are read: nothing larger is ever made."""
    sizes = []

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            found = func(*args, **(kwargs or {}))
            if isinstance(found, Tensor) and found.is_floating_point():
                sizes.append(found.numel())
            return found

    with Watch():
        resample_clip(pixels(2, 3, 64, 6, 6), torch.rand(2), torch.full((2,), 2.2), 16)
    assert max(sizes) == 2 * 3 * 16 * 6 * 6


@pytest.mark.parametrize(
    ("clip", "centre", "stride", "frames", "message"),
    [
        ((2, 3, 8, 4), (2,), (2,), 4, r"\[2, 3, 8, 4\]"),
        ((2, 3, 0, 4, 4), (2,), (2,), 4, r"\[2, 3, 0, 4, 4\]"),
        ((2, 3, 8, 4, 4), (3,), (2,), 4, r"centre .*\[3\].*\[2\]"),
        ((2, 3, 8, 4, 4), (2,), (2, 1), 4, r"stride .*\[2, 1\].*\[2\]"),
        ((2, 3, 8, 4, 4), (2,), (), 4, r"stride .*\[\].*\[2\]"),
        ((2, 3, 8, 4, 4), (2,), (2,), 0, r"frames 0 "),
        ((2, 3, 8, 4, 4), (2,), (2,), -3, r"frames -3 "),
    ],
)
def test_resample_clip_refuses(
    clip: tuple[int, ...], centre: tuple[int, ...], stride: tuple[int, ...], frames: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        resample_clip(torch.zeros(clip), torch.zeros(centre), torch.zeros(stride), frames)


def test_resample_clip_refuses_other_integers() -> None:
    with pytest.raises(ValueError, match=r"torch.int64; give uint8 or float"):
        resample_clip(torch.zeros(1, 3, 8, 4, 4, dtype=torch.int64), torch.zeros(1), torch.zeros(1), 4)


def naive_detector(detector: KeyExpressionDetector, clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 3-5 clip by clip, in float64."""
    assert detector.summary is not None
    T, n = detector.frames, detector.samples
    centres, strides, summaries = [], [], []
    for one in clip.double() / 255:
        f = []
        for t in range(0, T, detector.every):
            frame = one[:, t]  # (3, H, W)
            half = torch.zeros(3, frame.shape[1] // 2, frame.shape[2] // 2, dtype=torch.float64)
            for y in range(half.shape[1]):
                for x in range(half.shape[2]):
                    half[:, y, x] = frame[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean((1, 2))
            for c in range(3):
                half[c] = (half[c] - TinyFrames.mean[c]) / TinyFrames.std[c]
            f.append(detector.backbone(half[None, :, None])[0, :, 0].mean((1, 2)))  # (D,)
        row = torch.cat(f)
        a = detector.place.weight @ row / len(row) ** 0.5 + detector.place.bias
        centres.append(1 / (1 + torch.exp(-a[0])))
        strides.append(0.5 + (1.5 * T / n - 0.5) / (1 + torch.exp(-a[1])))
        summaries.append(torch.sigmoid(detector.summary.weight @ (sum(f) / len(f)) + detector.summary.bias))
    return torch.stack(centres), torch.stack(strides), torch.stack(summaries)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("frames", "samples", "every"), [(16, 4, 4), (12, 8, 3), (5, 2, 1), (1, 1, 1)])
def test_detector_is_the_equations(batch: int, frames: int, samples: int, every: int) -> None:
    detector = tiny(frames, samples, every, started=True).double()
    clip = pixels(batch, 3, frames, 6, 8)
    assert_close(tuple(detector(clip)), naive_detector(detector, clip), rtol=1e-9, atol=1e-12)
    assert_close(tuple(detector(clip.double() / 255)), tuple(detector(clip)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("frames", "samples"), [(64, 16), (64, 8), (16, 4), (60, 16), (48, 20), (64, 64), (8, 15)])
def test_samples_uniformly_at_the_start(frames: int, samples: int) -> None:
    detector = tiny(frames, samples, 1)
    centre, stride, _ = detector(pixels(2, 3, frames, 4, 4))
    assert centre.tolist() == [0.5, 0.5]
    assert_close(stride, torch.full((2,), frames / samples), rtol=1e-6, atol=0)


def test_first_places_of_64_frames() -> None:
    clip = pixels(3, 3, 64, 4, 4)
    found = KeyExpressionDetector(TinyFrames())(clip)
    places = sample_positions(found.centre, found.stride, 16, 64)
    assert places.tolist() == 3 * [[4.0 * i for i in range(16)]]
    assert found.summary.shape == (3, 512)
    assert torch.equal(resample_clip(clip, found.centre, found.stride, 16), clip[:, :, ::4] / 255)


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_ranges_hold_for_large_outputs(scale: float) -> None:
    detector = tiny()
    nn.init.constant_(detector.place.weight, scale)
    clip = pixels(2, 3, 16, 4, 4)
    centre, stride, _ = detector(clip)
    assert centre.tolist() == [float(scale > 0)] * 2
    assert stride.tolist() == [6.0 if scale > 0 else 0.5] * 2
    resample_clip(clip, centre, stride, 4).sum().backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in detector.parameters())


def test_order_of_frames_counts() -> None:
    """A feature averaged over time would give the same place for shuffled frames; its summary is the same."""
    detector = tiny(started=True)
    clip = pixels(2, 3, 16, 6, 6)
    shuffled = clip.clone()
    shuffled[:, :, [0, 4, 8, 12]] = clip[:, :, [8, 0, 12, 4]]
    first, second = detector(clip), detector(shuffled)
    assert ((first.centre - second.centre).abs() > 1e-3).all()
    assert ((first.stride - second.stride).abs() > 1e-3).all()
    assert_close(first.summary, second.summary)


def test_sees_every_fourth_frame() -> None:
    detector = tiny(started=True)
    clip = pixels(1, 3, 16, 4, 4)
    other = pixels(1, 3, 16, 4, 4)
    other[:, :, ::4] = clip[:, :, ::4]
    assert_close(tuple(detector(other)), tuple(detector(clip)), rtol=0, atol=0)


@pytest.mark.parametrize("size", [3, 5])
def test_odd_sizes(size: int) -> None:
    detector = tiny(started=True)
    shapes = []
    detector.backbone.register_forward_pre_hook(lambda _, given: shapes.append(given[0].shape[3:]))
    assert all(value.isfinite().all() for value in detector(pixels(1, 3, 16, size, size)))
    assert shapes == [((size + 1) // 2, (size + 1) // 2)]


def test_without_a_summary() -> None:
    detector = tiny(summary=0)
    assert detector(pixels(2, 3, 16, 4, 4)).summary is None
    assert set(detector.state_dict()) == {"backbone.conv.weight", "backbone.conv.bias", "place.weight", "place.bias"}


def test_recognition_loss_reaches_the_detector() -> None:
    detector = tiny(frames=64, samples=16).double()
    clip = pixels(4, 3, 64, 4, 4)
    found = detector(clip)
    found.centre.retain_grad()
    found.stride.retain_grad()
    frames = resample_clip(clip, found.centre, found.stride, 16)
    head = nn.Linear(16 * 3 * 16, 7).double()
    F.cross_entropy(head(frames.flatten(1)), torch.tensor([0, 1, 2, 3])).backward()
    for value in (found.centre, found.stride, detector.place.bias):
        assert value.grad is not None
        assert (value.grad != 0).all()
    assert detector.place.weight.grad is not None
    assert (detector.place.weight.grad != 0).any(dim=1).all()
    assert detector.backbone.conv.weight.grad is not None  # of zeros: F_d starts with zero weights
    assert detector.backbone.conv.weight.grad.isfinite().all()


def planted(count: int, frames: int = 64, reach: float = 16.0) -> tuple[Tensor, Tensor, Tensor]:
    """Draw clips of one grey, which at one place turn into their class's colour and back: clips, classes, places."""
    label = torch.randint(0, 3, (count,))
    centre = 8 + (frames - 16) * torch.rand(count)
    amount = (1 - (torch.arange(frames) - centre[:, None]).abs() / reach).clamp(min=0)  # (B, T)
    colour = 0.5 * torch.eye(3)[label] - 0.2  # (B, 3)
    grey = 0.5 + 0.1 * torch.randn(count, 3)  # differs from clip to clip more than the peak does on average
    clip = (grey[:, :, None] + colour[:, :, None] * amount[:, None])[..., None, None]  # (B, 3, T, 1, 1)
    clip = clip + 0.05 * torch.randn(count, 3, frames, 8, 8)
    return (255 * clip.clamp(0, 1)).round().to(torch.uint8), label, centre


def test_planted_peak_pulls_the_centre_to_it() -> None:
    detector = KeyExpressionDetector(TinyFrames(32), summary_features=0)
    head = nn.Linear(3, 3)
    nn.init.zeros_(head.weight)  # one drawn at random begins by driving the detector away from the peak
    optimizer = torch.optim.AdamW([*detector.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(250):
        clip, label, _ = planted(32)
        found = detector(clip)
        colours = resample_clip(clip, found.centre, found.stride, 16).mean((2, 3, 4))  # (B, 3)
        loss = F.cross_entropy(head(10 * (colours - 0.5)), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    clip, _, centre = planted(256)
    with torch.no_grad():
        found = detector(clip)
    error = (64 * found.centre - centre).abs().mean().item()
    middle = (32 - centre).abs().mean().item()
    assert middle > 10
    assert error < 0.6 * middle, (error, middle)  # 4.4 and 12 frames; the colour's stretch is 32 long
    assert found.stride.mean() < 2  # and it looks closely


def test_bfloat16_autocast_keeps_places_in_float32() -> None:
    detector = tiny(frames=64, samples=16, started=True)
    detector.place.weight.data *= 0.1
    clip = pixels(4, 3, 64, 8, 8)
    expected = detector(clip)
    with torch.autocast("cpu", torch.bfloat16):
        found = detector(clip)
        frames = resample_clip(clip, found.centre, found.stride, 16)
        places = sample_positions(found.centre, found.stride, 16, 64)
    for value in (*found, frames, places):
        assert value.dtype == torch.float32
        assert not torch.equal(value, value.bfloat16().float())
    assert_close(tuple(found), tuple(expected), rtol=0, atol=0.02)  # the backbone alone is in bfloat16
    assert_close(frames, naive_resample(clip, found.centre, found.stride, 16).float(), rtol=0, atol=1e-5)
    frames.sum().backward()
    assert all(value.grad is None or value.grad.isfinite().all() for value in detector.parameters())


def test_bfloat16_places_are_worked_out_in_float32() -> None:
    centre, stride = torch.tensor([0.93], dtype=torch.bfloat16), torch.tensor([1.3], dtype=torch.bfloat16)
    places = sample_positions(centre, stride, 4, 64)
    assert_close(places, sample_positions(centre.float(), stride.float(), 4, 64), rtol=0, atol=0)


@pytest.mark.parametrize("training", [True, False])
def test_with_a_resnet(training: bool) -> None:
    detector = KeyExpressionDetector(resnet18(width=0.125), summary_features=6).train(training)
    centre, stride, summary = detector(pixels(1, 3, 64, 32, 32))
    assert (centre.item(), stride.item(), summary.shape) == (0.5, 4.0, (1, 6))


class Whole(nn.Module):
    """What RDFER exports: detector and re-sampling together."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        centre, stride, summary = self.detector(clip)
        return resample_clip(clip, centre, stride, self.detector.samples), centre, stride, summary


def test_exports_to_onnx(tmp_path: Path) -> None:
    whole = Whole(tiny(started=True)).eval()
    whole.detector.place.weight.data *= 0.1
    path = tmp_path / "key_expression.onnx"
    torch.onnx.export(
        whole,
        (pixels(2, 3, 16, 8, 8),),
        path,
        dynamo=True,
        verbose=False,
        input_names=["clip"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
    )
    session = onnxruntime.InferenceSession(path)
    for B in (1, 2, 5):
        clip = pixels(B, 3, 16, 8, 8)
        found = session.run(None, {"clip": clip.numpy()})
        for given, expected in zip(found, whole(clip), strict=True):
            assert_close(torch.from_numpy(given), expected.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 0}, "frames 0 "),
        ({"samples": 0}, "samples 0 "),
        ({"every": -1}, "every -1 "),
        ({"every": 3}, "frames 64 .* every 3"),
        ({"frames": 8, "samples": 16}, "samples 16 of 8 frames are 0.5 frames apart; give fewer than 16"),
        ({"frames": 4, "samples": 64}, "samples 64 of 4 frames are 0.0625 frames apart; give fewer than 8"),
        ({"summary_features": -2}, "summary_features -2 "),
    ],
)
def test_detector_refuses_bad_arguments(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KeyExpressionDetector(TinyFrames(), **options)


@pytest.mark.parametrize("shape", [(2, 3, 8, 4, 4), (2, 1, 16, 4, 4), (3, 16, 4, 4)])
def test_detector_refuses_other_clips(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=rf"{list(shape)}.*\(B, 3, 16, H, W\)".replace("[", r"\[").replace("]", r"\]", 1)
    ):
        tiny()(torch.zeros(shape))


def test_detector_refuses_a_backbone_that_pools_time() -> None:
    detector = KeyExpressionDetector(r3d_18(width=0.125), summary_features=0)
    with pytest.raises(ValueError, match="2 time steps for 16 frames"):
        detector(pixels(1, 3, 64, 32, 32))
