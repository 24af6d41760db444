"""Topology files of SCALE-Sim: a list of convolutions or of matrix products, as comma-separated values.

The columns are those that its versions 1 to 3 write and read. The IFMAP is the image with its padding, and the last
window may reach over its edge: SCALE-Sim counts ceil((IFMAP - filter) / stride) + 1 outputs. A layer with ``DP`` in its
name has a filter of its own for each channel. ``Sparsity`` N:M says that N of M weights in a row are not zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork, Importer, ImportRequest
from workloads.importers.layer_list import ListedLayer, make_list
from workloads.importers.number_table import NumberRow, Row, find_separator, read_rows, simplify
from workloads.user_file import FileForm, read_file

FORM = FileForm("a SCALE-Sim topology", limit_bytes=4 * 2**20, is_text=True)
SPARSITY = "sparsity"
# What a column is called here, to the titles that files give it, small letters and digits alone.
CONVOLUTION = {
    "IFMAP Height": ("ifmapheight", "ifmaph", "inputheight"),
    "IFMAP Width": ("ifmapwidth", "ifmapw", "inputwidth"),
    "Filter Height": ("filterheight", "filterh", "kernelheight"),
    "Filter Width": ("filterwidth", "filterw", "kernelwidth"),
    "Channels": ("channels", "channel", "numchannels", "inputchannels"),
    "Num Filter": ("numfilter", "numfilters", "filters", "numberoffilters"),
}
STRIDES = {
    "Strides": ("strides", "stride"),
    "Stride Height": ("strideheight", "strideh"),
    "Stride Width": ("stridewidth", "stridew"),
}
PRODUCT = {"M": ("m",), "N": ("n",), "K": ("k",)}
FURTHER = {"Batch": ("batch", "batchsize", "batchcount")}
RATIO = {"Sparsity": (SPARSITY, "sparsityratio", "sparsitynm", "nm")}
NAMES = {"Layer": ("layer", "layername", "name", "layers")}
ONE_CHANNEL_EACH = "DP"


class ScaleSimImporter(Importer):
    """Makes a list of unconnected layers of a topology file."""

    words: ClassVar[str] = "a SCALE-Sim topology (.csv)"

    def recognises(self, path: Path, beginning: bytes) -> bool:
        """Know the titles of the columns; a .csv file is taken for a topology, too, so that its fault is told."""
        if path.suffix.lower() == ".csv":
            return True
        first = next((line for line in beginning.decode("utf-8-sig", "replace").splitlines() if line.strip()), "")
        known = {simplify(title) for title in first.split(find_separator(first))}
        return {"ifmapheight", "ifmapwidth"} <= known or {"m", "n", "k"} <= known

    def read(self, request: ImportRequest) -> ImportedNetwork:
        """Read a row a layer."""
        rows = list(read_rows(decode(read_file(request.path, FORM, request.label), request.label), request.label))
        header = next((row for row in rows if row.cells), None)
        if header is None:
            raise InputError(f"{request.label}: is empty; a row of titles and a row for each layer are expected")
        titles = name_columns(header)
        layers = [
            layer
            for row in rows
            if row.line > header.line and row.cells
            for layer in read_layer(NumberRow(row, titles))
        ]
        if not layers:
            raise InputError(f"{request.label}: holds no layer; a row for each is expected behind the titles")
        return make_list(request, layers)


def decode(raw: bytes, label: str) -> str:
    """Read bytes as text.

    Raises:
        InputError: they are none in UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{label}, line {line}: is not UTF-8 text") from None


def name_columns(header: Row) -> tuple[str, ...]:
    """Give the columns the names that are used here.

    Raises:
        InputError: a title is unknown or stands twice, or a column is missing.
    """
    given = header.cells
    normal = [simplify(title) for title in given]
    is_product = "m" in normal and "k" in normal and "ifmapheight" not in normal
    wanted = PRODUCT if is_product else CONVOLUTION
    allowed = {**NAMES, **wanted, **RATIO, **FURTHER, **({} if is_product else STRIDES)}
    columns: list[str] = []
    for title, word in zip(given, normal, strict=True):
        name = next((one for one, words in allowed.items() if word in words), None)
        if name is None:
            raise InputError(f"{header.place}: the column '{title}' is unknown; allowed are {', '.join(allowed)}")
        if name in columns:
            raise InputError(f"{header.place}: the column '{name}' stands twice")
        columns.append(name)
    strides = [] if is_product else ["Strides"] if "Strides" in columns else ["Stride Height", "Stride Width"]
    missing = [name for name in (*NAMES, *wanted, *strides) if name not in columns]
    if missing:
        raise InputError(f"{header.place}: the column '{missing[0]}' is missing; the titles are {', '.join(given)}")
    return tuple(columns)


def read_layer(row: NumberRow) -> Iterator[ListedLayer]:
    """Make the layers of a row: one, or of a batch of products each.

    Raises:
        InputError: a cell is no number, or the numbers fit no layer.
    """
    density = read_density(row)
    name = row.text("Layer")
    if "M" in row.titles:
        rows, outputs, inputs = (row.number(title) for title in PRODUCT)
        count = row.number("Batch") if row.has("Batch") else 1
        data = {"type": "linear", "input": {"tokens": rows, "channels": inputs}, "out_features": outputs, "bias": False}
        for number in range(count):
            yield ListedLayer(name if count == 1 else f"{name}_{number}", data, row.place, {"weight": density})
        return
    batch = row.number("Batch") if row.has("Batch") else None
    yield ListedLayer(name, read_convolution(row, name), row.place, {"weight": density}, batch)


def read_convolution(row: NumberRow, name: str) -> dict[str, Any]:
    """Make a convolution of a row, or a fully connected layer where every filter has the image, or its rows, whole.

    The second is how SCALE-Sim itself writes a product of matrices: M x K as an image, N filters of 1 x K.
    """
    height, width, kernel_height, kernel_width, channels, filters = (row.number(title) for title in CONVOLUTION)
    stride = tuple(
        row.number("Strides" if row.has("Strides") else title) for title in ("Stride Height", "Stride Width")
    )
    for axis, size, taps in (("Height", height, kernel_height), ("Width", width, kernel_width)):
        if taps > size:
            raise InputError(
                f"{row.place}: 'Filter {axis}' is {taps}; it must not be larger than 'IFMAP {axis}', {size}"
            )
    is_depthwise = ONE_CHANNEL_EACH in name
    if (kernel_height, kernel_width) == (height, width) and not is_depthwise:
        features = channels * height * width
        return {"type": "linear", "input": {"features": features}, "out_features": filters, "bias": False}
    if (kernel_height, kernel_width, *stride) == (1, width, 1, 1) and width > 1 and not is_depthwise:
        tokens = {"tokens": height, "channels": channels * width}
        return {"type": "linear", "input": tokens, "out_features": filters, "bias": False}
    data: dict[str, Any] = {
        "type": "conv2d",
        "input": {"channels": channels, "height": height, "width": width},
        "out_channels": channels * filters if is_depthwise else filters,
        "kernel": [kernel_height, kernel_width],
        "stride": list(stride),
    }
    beyond = (-(height - kernel_height) % stride[0], -(width - kernel_width) % stride[1])
    if any(beyond):
        data["padding"] = {"bottom": beyond[0], "right": beyond[1]}
    if is_depthwise:
        data["groups"] = channels
    return {**data, "bias": False}


def read_density(row: NumberRow) -> float:
    """Read the share of weights that are not zero; 1 where the row does not say.

    Raises:
        InputError: it is no N:M.
    """
    if not row.has("Sparsity"):
        return 1.0
    text = row.text("Sparsity")
    parts = [part.strip() for part in text.split(":")]
    if all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        numbers = [int(part) for part in parts]
        if numbers == [1]:
            return 1.0
        if len(numbers) == 2 and 1 <= numbers[0] <= numbers[1]:
            return numbers[0] / numbers[1]
    raise InputError(
        f"{row.place}: 'Sparsity' is '{text}'; N:M is expected, N of M weights in a row not zero, such as 2:4, or 1"
    )
