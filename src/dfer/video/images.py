"""One image file to one RGB frame."""

import io
import logging
import os
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dfer.errors import ItemError
from dfer.video.regular_file import open_regular, shown

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a file is said by the error, once

Frame = NDArray[np.uint8]
"""One decoded frame, ``(H, W, 3)`` RGB."""

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
MOST_PIXELS = 8192 * 4320
"""Of a frame, whether a picture's or a video's; more is refused before memory is taken."""
MOST_BYTES = 256 << 20
ORIENTATION, BITS, WHITE = 0x0112, 258, 262  # names of facts in EXIF data and TIFF files


def read_image(source: Path | bytes) -> Frame:
    """Decode an image file, or the bytes of one, to ``(H, W, 3)`` RGB uint8.

    JPEG goes through simplejpeg, grey, CMYK and YCCK too; Pillow reads the rest. What is shown:

    - EXIF data turn the picture upright; a colour profile changes nothing.
    - Transparency is dropped: the colours beneath it show, as in videos.
    - Of 16 bits the upper eight are kept; of fractions, 1.0 is white; whole numbers of 32 bits are refused.
    - Of several pictures, moving or paged, the first.
    - CMYK is inverted where Adobe's mark says so.

    Raises:
        ItemError: missing, no regular file, empty, cut off, damaged, too large, or not an image. A JPEG with a
            warning counts as damaged: the decoder would fill what is missing with grey.
    """
    try:
        data = source if isinstance(source, bytes) else _content(source)
    except OSError as error:
        raise ItemError(f"cannot read {_name(source)}: {error.strerror or error}") from error
    if not data:
        raise ItemError(f"{_name(source)} is empty (0 bytes); copy it again, or leave its clip out")
    try:
        frame = _read_jpeg(data) if data[:2] == b"\xff\xd8" else None
        return _read_other(data) if frame is None else frame
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ItemError(
            f"{_name(source)} claims to be far larger than the {MOST_PIXELS:,} pixels that are read at most; "
            "leave its clip out"
        ) from error
    except _NotReadError as error:
        raise ItemError(f"{_name(source)} {error}") from None
    except UnidentifiedImageError as error:
        raise ItemError(
            f"{_name(source)} is no image of a kind that is read (JPEG, PNG, WebP, BMP, TIFF, PPM, GIF); convert it, "
            "or leave its clip out"
        ) from error
    except Exception as error:  # decoders raise whatever they like at damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ItemError(f"{_name(source)} is damaged ({reason}); copy it again, or leave its clip out") from error


class _NotReadError(Exception):
    """Says of a sound picture why it is not read."""


def _name(source: Path | bytes) -> str:
    return "an image" if isinstance(source, bytes) else shown(source)


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise ItemError(f"{shown(path)} has {size >> 20:,} MB, which no frame has; leave its clip out")
        return file.read()


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise _NotReadError(
            f"is a picture of {width} x {height}; at most {MOST_PIXELS:,} pixels are read; make it smaller"
        )


def _read_jpeg(data: bytes) -> Frame | None:
    """Decode a JPEG strictly; None for one that Pillow may know better."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None  # an unusual subsampling
    _check_size(width, height)
    if colours in ("CMYK", "YCCK"):
        inks = simplejpeg.decode_jpeg(data, colorspace="CMYK")
        if _segment(data, 0xEE, b"Adobe"):
            inks = 255 - inks
        frame = np.array(Image.fromarray(inks, "CMYK").convert("RGB"))
    else:
        frame = simplejpeg.decode_jpeg(data)
    exif = _segment(data, 0xE1, b"Exif\0\0")
    return frame if exif is None else _upright(frame, exif)


def _segment(data: bytes, kind: int, prefix: bytes) -> bytes | None:
    """Find a part of a JPEG's header, wherever it stands before the pixels."""
    at = 2
    while 0 <= at < len(data) - 4:
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:  # filling
            at = data.find(b"\xff", at + 1)
            continue
        if marker == 0xDA:  # the pixels
            return None
        length = data[at + 2] << 8 | data[at + 3]
        if marker == kind and data.startswith(prefix, at + 4):
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return None


def _upright(frame: Frame, exif: bytes) -> Frame:
    """Turn a picture as its EXIF data ask; if they are damaged, not at all."""
    orientation = 1
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notes = Image.Exif()
        notes.load(exif)
        orientation = int(notes.get(ORIENTATION, 1))
    if orientation in (5, 6, 7, 8):
        frame = frame.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        frame = frame[::-1]
    if orientation in (2, 3, 6, 7):
        frame = frame[:, ::-1]
    return np.ascontiguousarray(frame)


def _read_other(data: bytes) -> Frame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd palettes and EXIF: the picture is what counts
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(*image.size)
            facts = dict(getattr(image, "tag_v2", {}))
            image.load()
            with suppress(Exception):  # damaged EXIF data
                ImageOps.exif_transpose(image, in_place=True)
            if image.mode in ("F", "I") or image.mode.startswith("I;16"):
                grey = _eight_bits(np.asarray(image), image.mode, image.format == "PPM", facts)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.array(image.convert("RGB"))


def _eight_bits(grey: NDArray[np.generic], mode: str, is_ppm: bool, facts: dict[int, object]) -> Frame:
    """Bring grey of more than eight bits to eight, which Pillow would clip."""
    if mode == "F":
        values = grey.astype(np.float64)
        if not (values.min() >= -0.5 and values.max() <= 1.5):  # a resized picture overshoots a little
            raise _NotReadError(
                f"has fractions from {values.min():.4g} to {values.max():.4g}, where 1.0 is white; "
                "save it with 8 bits, or leave its clip out"
            )
        found = (255 * values).round().clip(0, 255)
    elif mode == "I" and not is_ppm:
        raise _NotReadError("has whole numbers whose white is unknown; save it with 8 bits, or leave its clip out")
    else:
        bits = facts.get(BITS)
        shift = int(bits[0]) - 8 if isinstance(bits, tuple) and bits else 8
        found = (grey.astype(np.int64) >> max(0, shift)).clip(0, 255)
        if facts.get(WHITE) == 0:  # white is the lowest value
            found = 255 - found
    return found.astype(np.uint8)
