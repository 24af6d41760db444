"""The least of the buffer that any tiling of a layer step needs, whatever its operands: all of them zero.

Tilings are chosen by stored sizes, which follow from the zeros. With none but zeros every row is as small as it can be;
a step that does not even then fit will never fit, and one that does may still not.
"""

from __future__ import annotations

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.rows.dealing import count_kernels_per_pe, count_packed_groups, deal_outputs, require_results
from dataflows.rows.geometry import describe_rows
from dataflows.rows.strips import cut_kernel, cut_strips
from dataflows.rows.taps import pair_rows
from dataflows.sparsetrain.views import see_shape
from dataflows.storage.row_sizes import size_raw, size_rows
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step


def check_shape(layer: str, shape: LayerShape, step: Step, array: PEArray, memory: MemoryShare | None) -> None:
    """Refuse a layer step that does not fit, whatever its operands.

    Raises:
        UnmappableLayerError: a row of a kernel does not fit the accumulators of a PE, or no tiling fits.
    """
    seen, seen_step = see_shape(shape, step)
    require_results(layer, seen, seen_step, array)
    if memory is None or memory.capacity_bytes is None:
        return
    needed = find_least_bytes(seen, seen_step, array, memory)
    if needed > memory.capacity_bytes:
        raise UnmappableLayerError(
            f"layer '{layer}', step {step}: no tiling fits the global buffer; the smallest needs {needed} bytes, were "
            f"all operands zero, buffer.capacity_bytes = {memory.capacity_bytes}"
        )


def find_least_bytes(shape: LayerShape, step: Step, array: PEArray, memory: MemoryShare) -> int:
    """Give the bytes below which no tiling of a step fits.

    Args:
        shape: As they are mapped.
        step: As they are mapped.
    """
    if isinstance(shape, MatmulShape):
        one = LinearShape(shape.rows, shape.in_features, shape.out_features, products=shape.products)
        return least_factor(one, array, memory) if step is Step.GTW else least_products(one, step, array, memory)
    if isinstance(shape, LinearShape):
        return least_outer(shape, array, memory) if step is Step.GTW else least_products(shape, step, array, memory)
    if not isinstance(shape, ConvShape):
        raise TypeError(f"a {type(shape).__name__} is mapped as another shape")
    return least_kernels(shape, array, memory) if step is Step.GTW else least_rows(shape, step, array, memory)


def size_empty(width: int, array: PEArray, memory: MemoryShare, window: int | None = None) -> int:
    """Give the least bytes that a row without nonzeros may be stored in; raw where a machine skips nothing.

    Args:
        window: The elements that are fetched of a raw row, where not all of them are.
    """
    formats: tuple[RowFormat, ...] = tuple(RowFormat) if memory.sparse_format is None else (memory.sparse_format,)
    if not array.skip_zeros:
        formats = (RowFormat.RAW,)
    none = np.zeros(1, dtype=np.int64)
    widths = dict.fromkeys(formats, width)
    if window is not None and RowFormat.RAW in widths:
        widths[RowFormat.RAW] = window
    return min(int(size_rows(none, fetched, form, memory.data_bits)[0]) for form, fetched in widths.items())


def least_rows(shape: ConvShape, step: Step, array: PEArray, memory: MemoryShare) -> int:
    """Bound Forward or GTA: one image, row, strip and block, with the reduction whole or cut to one channel."""
    rows, blocks, strips = describe_rows(shape, step), deal_outputs(shape, step, array), cut_strips(shape, step, array)
    owned = min(array.pes_per_group, int(blocks.first_outputs[1]))
    groups = int(blocks.group_ends[1][0]) + 1
    # Each kernel row that a result row meets, it meets with another driver row.
    met = int((rows.pairs >= 0).sum(axis=1).max())
    window = max(len(strip.window) for strip in strips)
    width = max(len(strip.columns) for strip in strips)
    driver = size_empty(rows.driver_width, array, memory, window)
    load = met * (groups * driver + owned * size_raw(shape.kernel_width, memory.data_bits))
    whole = 2 * owned * size_raw(width, memory.data_bits) + 2 * rows.depth * load
    cut = owned * size_raw(width, memory.acc_bits) + 2 * load
    return min(whole, cut) if rows.depth > 1 else whole


def least_kernels(shape: ConvShape, array: PEArray, memory: MemoryShare) -> int:
    """Bound GTW of a convolution: one filter (of each group that is packed), block, run, image and input row."""
    pairs, runs = pair_rows(shape), cut_kernel(shape, array)
    groups = min(count_packed_groups(shape, Step.GTW, array), shape.groups)
    channels = min(array.pes_per_group * count_kernels_per_pe(shape, array), groups * shape.group_in_channels)
    if groups == 1:
        channels = min(channels, shape.group_in_channels)
    inputs = channels * size_empty(shape.in_width, array, memory)
    drivers = groups * size_empty(shape.out_width, array, memory)
    met = [(pairs[:, run.start : run.stop] >= 0).sum(axis=1) for run in runs]
    load = max(int((rows * drivers + np.where(rows > 0, inputs, 0)).max()) for rows in met)
    kernel = max(len(run) for run in runs) * size_raw(shape.kernel_width, memory.acc_bits)
    return (2 if shape.batch * shape.in_height == 1 else 1) * channels * kernel + 2 * load


def least_products(shape: LinearShape, step: Step, array: PEArray, memory: MemoryShare) -> int:
    """Bound Forward or GTA of a fully connected layer: one image and block, the reduction whole or cut to one."""
    depth, outputs = shape.in_features, shape.out_features
    if step is Step.GTA:
        depth, outputs = outputs, depth
    owned = min(array.pes_per_group, outputs)

    def load(length: int) -> int:
        return owned * size_raw(length, memory.data_bits) + size_empty(length, array, memory)

    whole = 2 * size_raw(owned, memory.data_bits) + 2 * load(depth)
    cut = size_raw(owned, memory.acc_bits) + 2 * load(1)
    return min(whole, cut) if depth > 1 else whole


def least_factor(shape: LinearShape, array: PEArray, memory: MemoryShare) -> int:
    """Bound GTW of a product of activations: one filter and block, the reduction whole or cut to one row."""
    owned = min(array.pes_per_group * count_kernels_per_pe(shape, array), shape.in_features)
    load = size_empty(1, array, memory) + size_empty(owned, array, memory)
    whole = 2 * size_raw(owned, memory.data_bits) + 2 * shape.batch * load
    return min(whole, size_raw(owned, memory.acc_bits) + 2 * load) if shape.batch > 1 else whole


def least_outer(shape: LinearShape, array: PEArray, memory: MemoryShare) -> int:
    """Bound GTW of a fully connected layer: one filter, block and image."""
    owned = min(array.pes_per_group * count_kernels_per_pe(shape, array), shape.in_features)
    load = size_empty(1, array, memory) + size_empty(owned, array, memory)
    return (2 if shape.batch == 1 else 1) * size_raw(owned, memory.acc_bits) + 2 * load
