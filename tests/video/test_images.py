import io
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from dfer.errors import ItemError
from dfer.video import read_image


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    cells = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def jpeg() -> bytes:
    return encoded(Image.fromarray(smooth()), "JPEG", quality=90)


def test_plain_jpeg_from_bytes_and_from_a_file(jpeg: bytes, tmp_path: Path) -> None:
    path = tmp_path / "-naïve 表 1.jpg"
    path.write_bytes(jpeg)
    frame = read_image(path)
    assert frame.shape == (48, 64, 3)
    assert frame.dtype == np.uint8
    assert np.array_equal(frame, read_image(jpeg))
    assert np.abs(frame.astype(int) - smooth()).mean() < 4


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "RGBA", {}),
        ("PNG", "L", {}),
        ("PNG", "P", {}),
        ("PNG", "1", {}),
        ("BMP", "RGB", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("TIFF", "RGB", {}),
    ],
)
def test_every_kind_is_rgb_like_pillow_s(kind: str, mode: str, options: dict) -> None:
    image = Image.fromarray(smooth()).convert(mode)
    data = encoded(image, kind, **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    frame = read_image(data)
    assert frame.shape == (48, 64, 3)
    assert frame.flags.writeable
    assert np.abs(frame - expected).max() <= 4


def test_sixteen_bit_keeps_the_upper_eight() -> None:
    ramp = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    frame = read_image(encoded(Image.fromarray(ramp), "PNG"))
    assert np.array_equal(frame[..., 1], ramp >> 8)
    assert frame.max() > 200


def test_exif_turns_the_picture_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    frame = read_image(encoded(Image.fromarray(smooth()), "JPEG", quality=95, exif=exif))
    assert frame.shape == (64, 48, 3)
    assert np.abs(frame.astype(int) - np.rot90(smooth(), -1)).mean() < 4


def test_no_byte_can_be_missing_from_the_end(jpeg: bytes) -> None:
    for kept in (1, 20, len(jpeg) // 2, len(jpeg) - 40, len(jpeg) - 1):
        with pytest.raises(ItemError, match=r"damaged|no image"):
            read_image(jpeg[:kept])
    loose = simplejpeg.decode_jpeg(jpeg[: len(jpeg) // 2], strict=False)
    assert loose.shape == (48, 64, 3)  # what the strict way protects from


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_cut_file_that_pillow_reads(kind: str) -> None:
    data = encoded(Image.fromarray(smooth()).convert("L" if kind == "PNG" else "CMYK"), kind)
    with pytest.raises(ItemError, match="damaged"):
        read_image(data[: len(data) // 2])


def test_the_message_is_one_line_and_names_the_file(tmp_path: Path, jpeg: bytes) -> None:
    contents = {"empty.jpg": b"", "text.jpg": b"no picture\n" * 20, "cut.jpg": jpeg[:600], "hole.png": b"\x89PNG\r\n"}
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ItemError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(ItemError, match="0 bytes"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(ItemError, match="No such file"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(ItemError, match="directory"):
        read_image(tmp_path)
