"""One image file to one RGB frame."""

import io
import warnings
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dfer.errors import ItemError

Frame = NDArray[np.uint8]
"""One decoded frame, ``(H, W, 3)`` RGB."""

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
PLAIN = {"YCbCr", "RGB", "Gray"}


def read_image(source: Path | bytes) -> Frame:
    """Decode an image file, or the bytes of one, to ``(H, W, 3)`` RGB uint8.

    Plain JPEG goes through simplejpeg; Pillow reads the rest: CMYK, PNG, palettes, 16 bit (the upper eight
    are kept), and pictures with EXIF data, which are turned upright. Transparency is dropped.

    Raises:
        ItemError: missing, empty, cut off, damaged, or not an image. A JPEG with a warning counts as damaged:
            the decoder would fill what is missing with grey.
    """
    name = "an image" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise ItemError(f"cannot read {name}: {error.strerror or error}") from error
    if not data:
        raise ItemError(f"{name} is empty (0 bytes); copy it again, or leave its clip out")
    try:
        if _is_plain_jpeg(data):
            frame: Frame = simplejpeg.decode_jpeg(data)
            return frame
        return _read_odd(data)
    except UnidentifiedImageError as error:
        raise ItemError(f"{name} is no image; remove it, or leave its clip out") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise ItemError(f"{name} is damaged ({reason}); copy it again, or leave its clip out") from error


def _is_plain_jpeg(data: bytes) -> bool:
    if data[:2] != b"\xff\xd8" or b"Exif\0\0" in data[:4096]:
        return False
    try:
        return simplejpeg.decode_jpeg_header(data)[2] in PLAIN
    except ValueError:
        return False  # an unusual colour space or subsampling; Pillow decides


def _read_odd(data: bytes) -> Frame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd palettes and EXIF: the picture is what counts
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bit; convert() would clip at 255
                grey = (np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.array(upright.convert("RGB"))
