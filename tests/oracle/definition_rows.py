"""Row operations of the definition, multiplication by multiplication, and what a PE does with them in a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from oracle.definition_layers import Array, Conv, Layer, Machine, Transposed, divide_up


class Tensors(NamedTuple):
    """Hold a step's driver and second operand tensor, the mask of its result and the result it adds into."""

    driver: Array
    second: Array
    mask: Array | None
    out: Array


class Row(NamedTuple):
    """Count what one row operation of one PE takes; one that is not executed is examined and takes nothing.

    examined_taps: S for each driver nonzero of a convolution, one for each of a dot product; none on a dense machine.
    """

    cycles: int
    multiplications: int
    empty_issue_cycles: int
    examined_taps: int
    is_executed: bool = True


NO_OPERATION = Row(0, 0, 0, 0, is_executed=False)


def charge_row(machine: Machine, taps: list[int], kernel_width: int) -> Row:
    """Charge a row operation of a convolution; taps holds the multiplications of each driver element issued."""
    floor = machine.empty_issue_cycles if machine.skip_zeros else 0
    issue_cycles = [max(floor, divide_up(count, machine.multipliers_per_pe)) for count in taps]
    examined_taps = kernel_width * len(taps) if machine.skip_zeros else 0
    return Row(machine.row_overhead_cycles + sum(issue_cycles), sum(taps), floor * taps.count(0), examined_taps)


def charge_dot(machine: Machine, products: int) -> Row:
    """Charge a row operation of a fully connected layer, whose products are packed across driver elements."""
    if machine.leaves_rows_out and products == 0:
        return NO_OPERATION
    examined_taps = products if machine.skip_zeros else 0
    return Row(
        machine.row_overhead_cycles + divide_up(products, machine.multipliers_per_pe), products, 0, examined_taps
    )


def list_driving(machine: Machine, driver: Array, window: Iterable[int]) -> list[int]:
    """Return the positions of a window that the machine issues: nonzeros, or all on a dense machine."""
    return [x for x in window if not machine.skip_zeros or driver[x] != 0]


def is_none(machine: Machine, driver: Array, window: Iterable[int], other: Array | None, columns: range) -> bool:
    """Say whether a row operation cannot multiply: no nonzero in its window, or none in the columns of another row.

    other: the mask row of the result, or the second operand of OSRC; None where there is neither.
    """
    if not machine.leaves_rows_out:
        return False
    has_driver = any(driver[x] != 0 for x in window)
    return not has_driver or (other is not None and not any(other[x] != 0 for x in columns))


def list_src_window(layer: Conv, strip: range) -> list[int]:
    """Return the elements of an input row that a strip of output columns reads, all if the strip is the whole row."""
    if len(strip) == layer.Q:
        return list(range(layer.W))
    first, last = layer.find_width(strip[0], 0), layer.find_width(strip[-1], layer.S - 1)
    return [w for w in range(layer.W) if first <= w <= last]


def list_msrc_window(layer: Conv, strip: range) -> list[int]:
    """Return the elements of an output row that a strip of input columns reads, all if the strip is the whole row."""
    if len(strip) == layer.W:
        return list(range(layer.Q))
    reaches = [(layer.find_width(q, 0), layer.find_width(q, layer.S - 1)) for q in range(layer.Q)]
    return [q for q, (first, last) in enumerate(reaches) if first <= strip[-1] and last >= strip[0]]


def skips_tap(machine: Machine, kernel_value: float, mask_row: Array | None, place: int) -> bool:
    """Say whether a multiplication in range is left out: its result is masked, or its weight zero."""
    if not machine.skip_zeros:
        return False
    is_masked = mask_row is not None and bool(mask_row[place] == 0)
    return is_masked or (machine.skip_weights and kernel_value == 0)


def run_src(
    layer: Conv, machine: Machine, driver: Array, kernel_row: Array, mask_row: Array | None, out_row: Array,
    strip: range,
) -> Row:  # fmt: skip
    """Add I[n, c, h, :] (W) convolved with Wt[m, c, r, :] (S) into the strip of O[n, m, p, :] (Q)."""
    window = list_src_window(layer, strip)
    if is_none(machine, driver, window, mask_row, strip):
        return NO_OPERATION
    taps = []
    for w in list_driving(machine, driver, window):
        live = 0
        for s in range(layer.S):
            q, remainder = divmod(w - layer.find_width(0, s), layer.U_w)
            if remainder != 0 or q not in strip or skips_tap(machine, kernel_row[s], mask_row, q):
                continue
            out_row[q] += driver[w] * kernel_row[s]
            live += 1
        taps.append(live)
    return charge_row(machine, taps, layer.S)


def run_msrc(
    layer: Conv, machine: Machine, driver: Array, kernel_row: Array, mask_row: Array | None, out_row: Array,
    strip: range,
) -> Row:  # fmt: skip
    """Add dO[n, m, p, :] (Q) spread by Wt[m, c, r, :] (S) into the strip of dI[n, c, h, :] (W) behind its mask."""
    window = list_msrc_window(layer, strip)
    if is_none(machine, driver, window, mask_row, strip):
        return NO_OPERATION
    taps = []
    for q in list_driving(machine, driver, window):
        live = 0
        for s in range(layer.S):
            w = layer.find_width(q, s)
            if w not in strip or skips_tap(machine, kernel_row[s], mask_row, w):
                continue
            out_row[w] += driver[q] * kernel_row[s]
            live += 1
        taps.append(live)
    return charge_row(machine, taps, layer.S)


def run_osrc(layer: Conv, machine: Machine, driver: Array, input_row: Array, kernel_sums: Array) -> Row:
    """Add the products of dO[n, m, p, :] (Q) and I[n, c, h, :] (W) into dWt[m, c, r, :] (S)."""
    if is_none(machine, driver, range(layer.Q), input_row, range(layer.W)):
        return NO_OPERATION
    taps = []
    for q in list_driving(machine, driver, range(layer.Q)):
        live = 0
        for s in range(layer.S):
            w = layer.find_width(q, s)
            if not 0 <= w < layer.W:
                continue
            if machine.skip_zeros and input_row[w] == 0:
                continue
            kernel_sums[s] += driver[q] * input_row[w]
            live += 1
        taps.append(live)
    return charge_row(machine, taps, layer.S)


def find_output_row(layer: Conv, h: int, r: int) -> int | None:
    """Return the p with h = p U + r D - top, or None where there is none in range."""
    p, remainder = divmod(h - layer.find_height(0, r), layer.U_h)
    return p if remainder == 0 and 0 <= p < layer.P else None


def conv_forward(
    layer: Conv, machine: Machine, t: Tensors, channels: range, n: int, p: int, strip: range
) -> Iterator[Row]:
    for m in channels:
        g = m // (layer.M // layer.G)
        mask_row = None if t.mask is None else t.mask[n, m, p]
        for c in range(layer.C // layer.G):
            for r in range(layer.R):
                h = layer.find_height(p, r)
                if 0 <= h < layer.H:
                    driver = t.driver[n, g * (layer.C // layer.G) + c, h]
                    yield run_src(layer, machine, driver, t.second[m, c, r], mask_row, t.out[n, m, p], strip)


def conv_gta(layer: Conv, machine: Machine, t: Tensors, channels: range, n: int, h: int, strip: range) -> Iterator[Row]:
    for c in channels:
        g, local_c = divmod(c, layer.C // layer.G)
        mask_row = None if t.mask is None else t.mask[n, c, h]
        for m in range(g * (layer.M // layer.G), (g + 1) * (layer.M // layer.G)):
            for r in range(layer.R):
                p = find_output_row(layer, h, r)
                if p is not None:
                    kernel_row = t.second[m, local_c, r]
                    yield run_msrc(layer, machine, t.driver[n, m, p], kernel_row, mask_row, t.out[n, c, h], strip)


def conv_gtw(
    layer: Conv, machine: Machine, t: Tensors, channels: range, place: int, kernel_rows: range
) -> Iterator[Row]:
    """Work kernels of the filter at a place within the group that the channels belong to."""
    for n in range(layer.N):
        for h in range(layer.H):
            for c in channels:
                g, local_c = divmod(c, layer.C // layer.G)
                m = g * (layer.M // layer.G) + place
                for r in kernel_rows:
                    p = find_output_row(layer, h, r)
                    if p is not None:
                        kernel_sums = t.out[m, local_c, r]
                        yield run_osrc(layer, machine, t.driver[n, m, p], t.second[n, c, h], kernel_sums)


def linear_forward(machine: Machine, t: Tensors, channels: range, n: int) -> Iterator[Row]:
    for m in channels:
        live = list_driving(machine, t.driver[n], range(t.driver.shape[1]))
        for c in live:
            t.out[n, m] += t.driver[n, c] * t.second[m, c]
        yield charge_dot(machine, len(live))


def linear_gta(machine: Machine, t: Tensors, channels: range, n: int) -> Iterator[Row]:
    for c in channels:
        if machine.skip_zeros and t.mask is not None and t.mask[n, c] == 0:
            continue
        live = list_driving(machine, t.driver[n], range(t.driver.shape[1]))
        for m in live:
            t.out[n, c] += t.driver[n, m] * t.second[m, c]
        yield charge_dot(machine, len(live))


def linear_gtw(machine: Machine, t: Tensors, channels: range, m: int) -> Iterator[Row]:
    for n in range(len(t.driver) if len(channels) > 0 else 0):
        if machine.skip_zeros and t.driver[n, m] == 0:
            continue
        live = [c for c in channels if not machine.skip_zeros or t.second[n, c] != 0]
        for c in live:
            t.out[m, c] += t.driver[n, m] * t.second[n, c]
        yield charge_dot(machine, len(live))


CONV_WORK: dict[str, Callable[..., Iterator[Row]]] = {"forward": conv_forward, "gta": conv_gta, "gtw": conv_gtw}
LINEAR_WORK: dict[str, Callable[..., Iterator[Row]]] = {
    "forward": linear_forward, "gta": linear_gta, "gtw": linear_gtw,
}  # fmt: skip


def run_pe(
    layer: Layer, step: str, machine: Machine, tensors: Tensors, channels: range, place: tuple[int | range, ...]
) -> list[Row]:
    """Run what one PE does in a task; place is what the task stands for, a batch place of a product first.

    step: the one of the convolution K where the layer is a transposed one.
    """
    if isinstance(layer, Conv | Transposed):
        conv = layer if isinstance(layer, Conv) else layer.K
        return list(CONV_WORK[step](conv, machine, tensors, channels, *place))
    if len(tensors.out.shape) == 3:
        z = place[0]
        driver, second, out = (tensor[z] for tensor in (tensors.driver, tensors.second, tensors.out))
        mask = None if tensors.mask is None or step == "gtw" else tensors.mask[z]
        return list(LINEAR_WORK[step](machine, Tensors(driver, second, mask, out), channels, *place[1:]))
    return list(LINEAR_WORK[step](machine, tensors, channels, *place))
