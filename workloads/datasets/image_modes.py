"""Images of every mode as red, green and blue in bytes, or a refusal by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workloads.errors import InputError

# Pillow converts these as their definitions say; from the other modes it cuts off values or takes other primaries.
CONVERTED_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N")
LARGEST_PIXELS = 2**26


@contextmanager
def open_image(file: BinaryIO, place: str, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Open an image, also to read its pixels; what is wrong with it becomes one sentence.

    Raises:
        InputError: it is damaged, cut off, another file, animated, or has more than 2^26 pixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes, which are checked below, and of oddities that are of no consequence for pixels.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=formats) as image:
                _check_size(image, place)
                yield image
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{place}: has more than {LARGEST_PIXELS} pixels, the most that an image may have") from None
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError) as error:
        kinds = " or ".join(formats)
        raise InputError(f"{place}: cannot be read as a {kinds} image; it is damaged or another file") from error


def read_colours(image: Image.Image, place: str) -> NDArray[np.uint8]:
    """Read an image's pixels as ``(H, W, 3)``, as they are stored; grey is repeated, transparency dropped.

    Of 16 bits 65535 is full brightness, as 255 is of 8. An orientation that a camera noted is left alone, as other
    readers of training images leave it.

    Raises:
        InputError: the image's mode is none that can be converted.
    """
    mode = image.mode
    if mode in SIXTEEN_BIT_MODES or (mode == "I" and image.format == "PNG"):
        values = np.asarray(image).astype(np.int64)
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode not in CONVERTED_MODES:
        allowed = ", ".join((*CONVERTED_MODES, *SIXTEEN_BIT_MODES[:1]))
        raise InputError(f"{place}: is an image of mode {mode}; the modes that are read are {allowed}")
    if mode in ("P", "PA"):
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def _check_size(image: Image.Image, place: str) -> None:
    if image.width * image.height > LARGEST_PIXELS:
        raise InputError(
            f"{place}: has {image.width} x {image.height} pixels; {LARGEST_PIXELS} at most are read of an image"
        )
    frames = getattr(image, "n_frames", 1)
    # A JPEG of several pictures, as cameras write it, has the picture first and previews behind it.
    if image.format == "PNG" and frames > 1:
        raise InputError(f"{place}: is an animation of {frames} frames; an image of one is needed")
