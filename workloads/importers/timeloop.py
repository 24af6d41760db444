"""Problems of Timeloop: one layer, as dimensions, projections of its tensors onto them, and an instance of sizes.

What a dimension is follows from the projections: one that weights and inputs have and outputs have not is a channel
that is summed; two that the inputs have in a sum are a kernel's axis and the output's. So problems of any letters are
read, from products of matrices to grouped and strided convolutions. The input is as large as its windows need, its
padding among it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork, Importer, ImportRequest
from workloads.importers.layer_list import ListedLayer, make_list
from workloads.words import list_words
from workloads.yaml_file import load_yaml

LARGEST = 2**24
_TOP = re.compile(rb"^(problem\s*:|shape\s*:)", re.MULTILINE)
_SPACES = ("data-spaces", "data_spaces", "dataSpaces")
# The shapes that Timeloop's own files name without giving them: of a convolution, R and P are the width.
_CONVOLUTION = {
    "Weights": (("C",), ("K",), ("R",), ("S",)),
    "Inputs": (("N",), ("C",), ("R*Wdilation", "P*Wstride"), ("S*Hdilation", "Q*Hstride")),
    "Outputs": (("N",), ("K",), ("Q",), ("P",)),
}
_PRODUCT = {"A": (("M",), ("K",)), "B": (("N",), ("K",)), "Z": (("M",), ("N",))}
KNOWN_SHAPES: Mapping[str, Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "cnnlayer": _CONVOLUTION,
    "gemm": _PRODUCT,
    "gemmabz": _PRODUCT,
}
SETTINGS = frozenset({"densities", "bitwidths", "version", "shape", "name", "instance", "description", "Padding"})


@dataclass(frozen=True)
class Space:
    """A tensor: its name, and for each axis the dimensions that are summed in it, each perhaps times a coefficient."""

    name: str
    axes: tuple[tuple[str, ...], ...]
    is_output: bool = False

    @property
    def dimensions(self) -> set[str]:
        """All dimensions that the tensor has."""
        return {term.partition("*")[0] for axis in self.axes for term in axis}


@dataclass(frozen=True)
class Problem:
    """Three tensors and the sizes of the dimensions."""

    place: str
    inputs: Space
    weights: Space
    outputs: Space
    sizes: Mapping[str, int]
    densities: Mapping[str, float] = field(default_factory=dict)

    def size(self, dimension: str) -> int:
        """Give a dimension's size, or a coefficient's; 1 where the instance leaves it out."""
        return self.sizes.get(dimension, 1)

    def extent(self, *, inputs: bool, weights: bool, outputs: bool) -> int:
        """Give the product of the dimensions that these tensors have and the others have not, sums left out."""
        alone = {axis[0].partition("*")[0] for axis in self.inputs.axes if len(axis) == 1}
        summed = self.inputs.dimensions - alone
        found = [
            name
            for name in self.inputs.dimensions | self.weights.dimensions | self.outputs.dimensions
            if (name in alone, name in self.weights.dimensions, name in self.outputs.dimensions)
            == (inputs, weights, outputs)
            and name not in summed
        ]
        return prod(self.size(name) for name in found)


class TimeloopImporter(Importer):
    """Makes a workload of one layer of a problem."""

    words: ClassVar[str] = "a Timeloop problem (.yaml)"

    def recognises(self, path: Path, beginning: bytes) -> bool:  # noqa: ARG002
        """Know the key that a problem has and a workload has not."""
        found = _TOP.search(beginning)
        return found is not None and (found[0].startswith(b"problem") or b"dimensions" in beginning)

    def read(self, request: ImportRequest) -> ImportedNetwork:
        """Read the layer that the dimensions make."""
        document = load_yaml(request.path)
        problem = read_problem(document)
        name, data, batch = make_layer(problem)
        return make_list(request, [ListedLayer(name, data, problem.place, problem.densities, batch)])


def read_problem(document: YamlDocument) -> Problem:
    """Find shape and instance in a document.

    Raises:
        InputError: one of them is missing or says no layer.
    """
    data = document.data.get("problem", document.data)
    if not isinstance(data, dict):
        raise InputError(f"{document.place(('problem',))}: must be a mapping of shape and instance")
    place = document.origin(("problem",)) if "problem" in document.data else document.label
    shape = data.get("shape")
    instance = data.get("instance", {name: size for name, size in data.items() if name not in SETTINGS})
    if not isinstance(instance, dict) or not any(isinstance(size, int) for size in instance.values()):
        raise InputError(f"{place}: the problem has no instance; the sizes of its dimensions are needed")
    spaces = read_spaces(shape, place)
    sizes = {**read_coefficients(shape, place), **read_sizes(instance, place)}
    inputs, weights, outputs = order_spaces(spaces, place)
    known = inputs.dimensions | weights.dimensions | outputs.dimensions
    missing = sorted(name for name in known if name not in sizes)
    if missing:
        raise InputError(f"{place}: the instance lacks the size of {list_words(missing)}")
    densities = read_densities(instance.get("densities", data.get("densities", {})), (inputs, weights, outputs), place)
    return Problem(place, inputs, weights, outputs, sizes, densities)


def read_sizes(instance: Mapping[str, Any], place: str) -> dict[str, int]:
    """Read the sizes of an instance.

    Raises:
        InputError: one is no whole number.
    """
    sizes = {}
    for name, size in instance.items():
        if name in SETTINGS:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
            raise InputError(f"{place}: '{name}' is {size!r}; a whole number from 1 to {LARGEST} is expected")
        sizes[name] = size
    return sizes


def read_coefficients(shape: Any, place: str) -> dict[str, int]:
    """Read the coefficients' defaults, which an instance may leave out."""
    given = shape.get("coefficients", []) if isinstance(shape, dict) else []
    if not isinstance(given, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in given
    ):
        raise InputError(f"{place}: coefficients must be a list of mappings with a name")
    return read_sizes({one["name"]: one["default"] for one in given if "default" in one}, place)


def read_spaces(shape: Any, place: str) -> list[Space]:
    """Read the three tensors of a shape, or take those of a shape that Timeloop knows by its name.

    Raises:
        InputError: they are not three, or their projections cannot be read.
    """
    name = shape if isinstance(shape, str) else shape.get("name") if isinstance(shape, dict) else None
    given = next((shape[key] for key in _SPACES if key in shape), None) if isinstance(shape, dict) else None
    if given is None:
        known = KNOWN_SHAPES.get(re.sub(r"[^a-z]", "", str(name).lower()))
        if known is None:
            raise InputError(
                f"{place}: the shape {name!r} has no data_spaces, and is none of cnn-layer, gemm and gemm-ABZ"
            )
        return [Space(one, axes, number == 2) for number, (one, axes) in enumerate(known.items())]
    if not isinstance(given, list) or len(given) != 3:
        raise InputError(f"{place}: data_spaces must be a list of three: inputs, weights and outputs")
    return [read_space(one, place) for one in given]


def read_space(data: Any, place: str) -> Space:
    """Read a tensor's name and projection.

    Raises:
        InputError: it has none, or it is no sum of dimensions.
    """
    if not isinstance(data, dict) or not isinstance(data.get("name"), str):
        raise InputError(f"{place}: a data space must be a mapping with a name and a projection")
    projection = data.get("projection")
    is_output = bool(data.get("read-write") or data.get("read_write") or data.get("readWrite"))
    if not isinstance(projection, list) or not projection:
        raise InputError(f"{place}: the data space '{data['name']}' must have a list as its projection")
    axes = []
    for axis in projection:
        terms = axis if isinstance(axis, list) and all(isinstance(term, list) for term in axis) else None
        if not terms or not all(1 <= len(term) <= 2 and all(isinstance(one, str) for one in term) for term in terms):
            raise InputError(
                f"{place}: the projection of '{data['name']}' holds {axis!r}; a list of [dimension] or "
                "[dimension, coefficient] is expected"
            )
        axes.append(tuple("*".join(term) for term in terms))
    return Space(data["name"], tuple(axes), is_output)


def order_spaces(spaces: Sequence[Space], place: str) -> tuple[Space, Space, Space]:
    """Tell inputs, weights and outputs apart: by what is written, by sums, else by their names or their order.

    Raises:
        InputError: not one of them is written.
    """
    written = [space for space in spaces if space.is_output]
    if len(written) != 1:
        raise InputError(f"{place}: {len(written)} data spaces are read_write; the outputs alone must be")
    first, second = (space for space in spaces if not space.is_output)
    sums = [any(len(axis) > 1 for axis in space.axes) for space in (first, second)]
    is_first_weight = re.search("weight|filter|kernel", first.name.lower()) is not None
    is_swapped = sums[1] or (is_first_weight and not sums[0])
    return (second, first, written[0]) if is_swapped else (first, second, written[0])


def read_densities(given: Any, spaces: tuple[Space, Space, Space], place: str) -> dict[str, float]:
    """Read the densities of inputs and weights, as a number or as a distribution that has one.

    Raises:
        InputError: one is no number from 0 to 1.
    """
    if not isinstance(given, dict):
        raise InputError(f"{place}: densities must be a mapping of data spaces")
    densities = {}
    for tensor, space in (("input", spaces[0]), ("weight", spaces[1])):
        density = given.get(space.name)
        if isinstance(density, dict):
            density = density.get("density")
        if density is None:
            continue
        if isinstance(density, bool) or not isinstance(density, int | float) or not 0 <= density <= 1:
            raise InputError(f"{place}: the density of '{space.name}' is {density!r}; a number from 0 to 1 is expected")
        densities[tensor] = float(density)
    return densities


def make_layer(problem: Problem) -> tuple[str, dict[str, Any], int]:
    """Make the layer that the dimensions say: its name, its fields, its batch.

    Raises:
        InputError: they say no convolution and no product with weights.
    """
    channels = problem.extent(inputs=True, weights=True, outputs=False)
    filters = problem.extent(inputs=False, weights=True, outputs=True)
    images = problem.extent(inputs=True, weights=False, outputs=True)
    groups = problem.extent(inputs=True, weights=True, outputs=True)
    windows = [read_window(problem, axis) for axis in problem.inputs.axes if len(axis) > 1]
    if not windows:
        if groups > 1:
            raise InputError(f"{problem.place}: a product whose weights differ between {groups} places is no layer")
        size = {"features": channels} if images == 1 else {"tokens": images, "channels": channels}
        return "product", {"type": "linear", "input": size, "out_features": filters, "bias": False}, 1
    if len(windows) > 2:
        raise InputError(f"{problem.place}: the inputs have {len(windows)} axes with a window; 1 or 2 are known")
    named = {window.axis: window for window in windows if window.axis}
    if len(named) < len(windows):
        named = dict(zip(("height", "width")[-len(windows) :], windows, strict=True))
    unit = Window("", 1, 1, 1, 1)
    height, width = named.get("height", unit), named.get("width", unit)
    data: dict[str, Any] = {
        "type": "conv2d",
        "input": {"channels": channels * groups, "height": height.input_size, "width": width.input_size},
        "out_channels": filters * groups,
        "kernel": [height.taps, width.taps],
        "stride": [height.stride, width.stride],
    }
    if (height.dilation, width.dilation) != (1, 1):
        data["dilation"] = [height.dilation, width.dilation]
    if groups > 1:
        data["groups"] = groups
    return "conv", {**data, "bias": False}, images


@dataclass(frozen=True)
class Window:
    """A kernel's axis: which one as far as its coefficients tell, and its sizes."""

    axis: str
    taps: int
    outputs: int
    stride: int
    dilation: int

    @property
    def input_size(self) -> int:
        """The positions that all windows need."""
        return (self.outputs - 1) * self.stride + (self.taps - 1) * self.dilation + 1


def read_window(problem: Problem, axis: tuple[str, ...]) -> Window:
    """Read a sum of a kernel's and an output's dimension.

    Raises:
        InputError: it is another sum.
    """
    terms = [term.partition("*")[::2] for term in axis]
    taps = [
        term for term in terms if term[0] in problem.weights.dimensions and term[0] not in problem.outputs.dimensions
    ]
    outputs = [term for term in terms if term not in taps and term[0] in problem.outputs.dimensions]
    if len(terms) != 2 or len(taps) != 1 or len(outputs) != 1:
        raise InputError(
            f"{problem.place}: {' + '.join(axis)} of '{problem.inputs.name}' is no sum of a dimension of the weights "
            "and one of the outputs"
        )
    (tap, dilation), (output, stride) = taps[0], outputs[0]
    letters = {name[:1].upper() for name in (dilation, stride) if name}
    name = "height" if letters == {"H"} else "width" if letters == {"W"} else ""
    return Window(
        name, problem.size(tap), problem.size(output),
        problem.size(stride) if stride else 1, problem.size(dilation) if dilation else 1,
    )  # fmt: skip
