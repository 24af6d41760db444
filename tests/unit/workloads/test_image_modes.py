"""Images of every mode become the right bytes of red, green and blue, or are refused by name."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets import load_dataset
from workloads.datasets.image_modes import open_image, read_colours
from workloads.errors import InputError

PALETTE = [10, 20, 30, 40, 50, 60]


def make_png(bit_depth: int, colour_type: int, pixels: bytes, width: int = 1, *chunks: tuple[bytes, bytes]) -> bytes:
    """Write one row of pixels as a PNG, whose size may be announced larger."""
    header = struct.pack(">IIBBBBB", width, 1, bit_depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(b"\0" + pixels)), (b"IEND", b"")]
    packed = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
              for name, data in parts)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def read(content: bytes) -> NDArray[np.uint8]:
    with open_image(io.BytesIO(content), "1.png", ("PNG", "JPEG")) as image:
        return read_colours(image, "1.png")


def words(big_endian: list[int]) -> bytes:
    return struct.pack(f">{len(big_endian)}H", *big_endian)


@pytest.mark.parametrize(
    ("content", "colours"),
    [
        (make_png(1, 0, b"\x40", 2), [[0] * 3, [255] * 3]),
        (make_png(2, 0, b"\x1b", 4), [[0] * 3, [85] * 3, [170] * 3, [255] * 3]),
        (make_png(4, 0, b"\x0f", 2), [[0] * 3, [255] * 3]),
        (make_png(8, 0, bytes((0, 7, 255)), 3), [[0] * 3, [7] * 3, [255] * 3]),
        (make_png(8, 0, b"\x12", 1, (b"tRNS", b"\0\x12")), [[18] * 3]),
        (make_png(16, 0, words([0, 128, 129, 256, 257, 32768, 65535]), 7),
         [[round(value / 257)] * 3 for value in (0, 128, 129, 256, 257, 32768, 65535)]),
        (make_png(8, 2, bytes((1, 2, 3))), [[1, 2, 3]]),
        (make_png(16, 2, words([257 * 1, 257 * 200, 257 * 255])), [[1, 200, 255]]),
        (make_png(8, 3, b"\0\1", 2, (b"PLTE", bytes(PALETTE))), [PALETTE[:3], PALETTE[3:]]),
        (make_png(8, 3, b"\0\1", 2, (b"PLTE", bytes(PALETTE)), (b"tRNS", b"\0\x80")), [PALETTE[:3], PALETTE[3:]]),
        (make_png(8, 4, bytes((7, 0, 9, 255)), 2), [[7] * 3, [9] * 3]),
        (make_png(16, 4, words([257 * 9, 65535])), [[9] * 3]),
        (make_png(8, 6, bytes((1, 2, 3, 0, 4, 5, 6, 128)), 2), [[1, 2, 3], [4, 5, 6]]),
    ],
    ids=["1 bit", "2 bits", "4 bits", "grey", "grey, one clear", "16 bits", "RGB", "RGB of 16 bits", "palette",
         "palette with transparency", "grey and alpha", "16 bits and alpha", "RGBA"],
)  # fmt: skip
def test_every_kind_of_png_has_the_right_colours(content: bytes, colours: list[list[int]]) -> None:
    assert read(content)[0].tolist() == colours


@pytest.mark.parametrize(
    ("mode", "pixel", "colour"),
    [
        ("1", 255, [255, 255, 255]), ("L", 7, [7, 7, 7]), ("LA", (7, 0), [7, 7, 7]), ("RGB", (1, 2, 3), [1, 2, 3]),
        ("RGBA", (1, 2, 3, 0), [1, 2, 3]), ("RGBX", (1, 2, 3, 0), [1, 2, 3]), ("CMYK", (255, 0, 0, 0), [0, 255, 255]),
        ("CMYK", (0, 0, 0, 255), [0, 0, 0]), ("YCbCr", (128, 128, 128), [128, 128, 128]),
        ("HSV", (0, 255, 200), [200, 0, 0]), ("I;16", 257 * 3, [3, 3, 3]), ("I;16B", 65535, [255, 255, 255]),
        ("I;16L", 32896, [128, 128, 128]),
    ],
)  # fmt: skip
def test_every_mode_that_is_read_has_the_right_colours(mode: str, pixel: Any, colour: list[int]) -> None:
    assert read_colours(Image.new(mode, (1, 1), pixel), "1.png").tolist() == [[colour]]


@pytest.mark.parametrize("mode", ["I", "F", "LAB", "La", "RGBa"])
def test_other_modes_are_refused_by_name(mode: str) -> None:
    with pytest.raises(InputError) as caught:
        read_colours(Image.new(mode, (1, 1)), "1.png")
    assert str(caught.value) == (
        f"1.png: is an image of mode {mode}; the modes that are read are 1, L, LA, P, PA, RGB, RGBA, RGBX, CMYK, "
        "YCbCr, HSV, I;16"
    )


def test_photographs_in_cmyk_and_with_an_orientation_are_read_as_stored(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    Image.new("CMYK", (4, 2), (255, 0, 0, 0)).save(tmp_path / "a" / "1.jpg", quality=100)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (4, 2), (0, 255, 255)).save(tmp_path / "a" / "2.jpg", quality=100, exif=turned)
    images = load_dataset(f"images:{tmp_path}").images[np.array([0, 1])]
    assert images.shape == (2, 3, 2, 4)
    # The transform of JPEG is of numbers with fractions; the bytes are these within one.
    assert np.abs(images.astype(int) - np.array([0, 255, 255]).reshape(1, 3, 1, 1)).max() <= 1


DAMAGED = "cannot be read as a PNG or JPEG image; it is damaged or another file"


def animate() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("L", (1, 1), value) for value in (1, 2, 3)]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (make_png(8, 0, bytes(range(100)), 100)[:80], DAMAGED),
        (make_png(8, 0, bytes(3), 100), DAMAGED),
        (b"", DAMAGED),
        (b"BM" + bytes(60), DAMAGED),
        (make_png(8, 0, b"", 2**27), "has 134217728 x 1 pixels; 67108864 at most are read of an image"),
        (make_png(8, 0, b"", 2**30), "has more than 67108864 pixels, the most that an image may have"),
        (animate(), "is an animation of 3 frames; an image of one is needed"),
    ],
    ids=["cut off", "too few pixels", "empty", "another format", "many pixels", "too many for Pillow", "animated"],
)
def test_an_image_that_cannot_be_read_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "1.png"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset(f"images:{tmp_path}").images[np.array([0])]
    assert str(caught.value) == f"{path}: {message}"


def test_a_pipe_among_images_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "1.png"
    os.mkfifo(path)
    with pytest.raises(InputError) as caught:
        load_dataset(f"images:{tmp_path}").images[np.array([0])]
    assert str(caught.value) == f"{path}: is a named pipe, not a PNG or JPEG image; only regular files are read"
