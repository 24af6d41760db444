"""Topology files of real networks: of the presets, and of tables in papers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workloads.network import Network
from workloads.shapes import ConvShape

TITLES = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "

# A. Howard et al., "MobileNets", arXiv 1704.04861, table 1: image with its padding, kernel, channels, filters, stride;
# of depthwise layers one filter for each channel.
MOBILENET = [
    ("conv1", 225, 3, 3, 32, 2),
    *[row for number, (size, channels, filters, stride) in enumerate((
        (112, 32, 64, 1), (112, 64, 128, 2), (56, 128, 128, 1), (56, 128, 256, 2), (28, 256, 256, 1), (28, 256, 512, 2),
        *[(14, 512, 512, 1)] * 5, (14, 512, 1024, 2), (7, 1024, 1024, 1),
    ), 2) for row in (
        (f"DP{number}", size + (2 if stride == 1 else 1), 3, channels, 1, stride),
        (f"conv{number}", size // stride, 1, channels, filters, 1),
    )],
    ("fc", 1, 1, 1024, 1000, 1),
]  # fmt: skip
MOBILENET_MACS = 568_740_352  # 569 million, table 4 there
# K. Simonyan and A. Zisserman, arXiv 1409.1556, table 1, column A: VGG-11.
VGG11 = [
    *[(f"conv{number}", size + 2, 3, channels, filters, 1) for number, (size, channels, filters) in enumerate((
        (224, 3, 64), (112, 64, 128), (56, 128, 256), (56, 256, 256), (28, 256, 512), (28, 512, 512), (14, 512, 512),
        (14, 512, 512),
    ), 1)],
    ("fc1", 7, 7, 512, 4096, 1), ("fc2", 1, 1, 4096, 4096, 1), ("fc3", 1, 1, 4096, 1000, 1),
]  # fmt: skip
VGG11_MACS = 7_609_090_048
Row = tuple[str, int, int, int, int, int, int, int, int]


def list_rows(network: Network) -> list[Row]:
    """Give the convolutions and fully connected layers of a network; an image is what its windows need."""
    rows: list[Row] = []
    for node in network.compute_nodes():
        shape = network.layer_shape(node.name)
        if not isinstance(shape, ConvShape):
            rows.append((node.name, 1, 1, 1, 1, shape.in_features, shape.out_features, 1, 1))
            continue
        is_depthwise = shape.groups == shape.in_channels > 1
        filters = shape.out_channels // shape.groups if is_depthwise else shape.out_channels
        height = (shape.out_height - 1) * shape.stride_height + shape.kernel_height
        width = (shape.out_width - 1) * shape.stride_width + shape.kernel_width
        rows.append((
            f"DP{node.name}" if is_depthwise else node.name, height, width, shape.kernel_height, shape.kernel_width,
            shape.in_channels, filters, shape.stride_height, shape.stride_width,
        ))  # fmt: skip
    return rows


def square_rows(table: Iterable[tuple[str, int, int, int, int, int]]) -> list[Row]:
    """Give the rows of a table whose images, kernels and strides are square."""
    return [(name, size, size, kernel, kernel, channels, filters, stride, stride)
            for name, size, kernel, channels, filters, stride in table]  # fmt: skip


def write_convolutions(rows: Sequence[Row]) -> str:
    """Write the form that all versions read: one stride, commas at the ends."""
    lines = [", ".join(map(str, row[:8])) + "," for row in rows]
    return "\n".join([f"{TITLES}Strides,", *lines]) + "\n"


def write_sparse(rows: Sequence[Row]) -> str:
    """Write the form with two strides and weights of 2:4 and 1:4 by turns."""
    lines = [",".join(map(str, row)) + f",{1 + number % 2}:4" for number, row in enumerate(rows)]
    return "\n".join([f"{TITLES}Stride height, Stride width, Sparsity", "", *lines])


def write_products(rows: Sequence[Row]) -> str:
    """Write the products of matrices that the layers are: outputs of a channel, filters, weights of a filter."""
    lines = []
    for name, height, width, kernel_height, kernel_width, channels, filters, stride_height, stride_width in rows:
        outputs = ((height - kernel_height) // stride_height + 1) * ((width - kernel_width) // stride_width + 1)
        lines.append(f"{name},{outputs},{filters},{kernel_height * kernel_width * channels},")
    return "\n".join(["Layer,M,N,K,", *lines])
