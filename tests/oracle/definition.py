"""Define, slowly and literally, what a step computes and how long it takes on the ideal machine.

On the ideal machine memory, controller and post-processing take no time and one tile holds the layer. Nothing here is
shared with the simulator. Letters: N images; C, H, W input channels, height, width; M, P, Q output channels, height,
width; R, S kernel height, width; U stride; G groups of a grouped convolution; B PEs of a PE group; L multipliers of a
PE; k kernels of a PE in a GTW task.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TaskIndex = tuple[int, ...]
OPERAND_NAMES = {"forward": ("input", "weight"), "gta": ("grad_output", "weight"), "gtw": ("grad_output", "input")}
RESULT_NAMES = {"forward": "output", "gta": "input", "gtw": "weight"}


@dataclass(frozen=True)
class Machine:
    """Describe the part of the accelerator that the ideal machine depends on; skip_zeros=False is the dense machine."""

    groups: int = 56
    pes_per_group: int = 3
    multipliers_per_pe: int = 1
    accumulators: int = 256
    min_tasks_per_group: int = 8
    row_overhead_cycles: int = 1
    empty_issue_cycles: int = 1
    skip_zeros: bool = True
    skip_weights: bool = False


@dataclass(frozen=True)
class Conv:
    """Describe a convolution: input (N, C, H, W), weight (M, C/G, R, S), output (N, M, P, Q)."""

    N: int
    C: int
    H: int
    W: int
    M: int
    R: int
    S: int
    U: int = 1
    pad_h: int = 0
    pad_w: int = 0
    G: int = 1

    def __post_init__(self) -> None:
        if self.C % self.G != 0 or self.M % self.G != 0:
            raise ValueError(f"G = {self.G} must divide C = {self.C} and M = {self.M}.")
        if self.P < 1 or self.Q < 1:
            raise ValueError(f"The output must have at least one row and column, not P = {self.P} and Q = {self.Q}.")

    @property
    def P(self) -> int:  # noqa: N802
        return (self.H + 2 * self.pad_h - self.R) // self.U + 1

    @property
    def Q(self) -> int:  # noqa: N802
        return (self.W + 2 * self.pad_w - self.S) // self.U + 1


@dataclass(frozen=True)
class Linear:
    """Describe a fully connected layer: input (N, C), weight (M, C), output (N, M); its image and kernel are 1 x 1."""

    N: int
    C: int
    M: int
    H = W = P = Q = R = S = U = G = 1
    pad_h = pad_w = 0


Layer = Conv | Linear


class Tensors(NamedTuple):
    """Hold a step's driver and second operand tensor, its mask and the result it adds into."""

    driver: Array
    second: Array
    mask: Array | None
    out: Array


class Row(NamedTuple):
    """Count what one row operation of one PE takes."""

    cycles: int
    multiplications: int
    empty_issue_cycles: int


@dataclass(frozen=True)
class StepOracle:
    """Hold what a step computes and takes; cycles count from its start to the end of its last task."""

    cycles: int
    task_cycles: list[int]
    pe_cycles: list[list[int]]
    task_indices: list[TaskIndex]
    group_busy: list[int]
    row_ops: int
    multiplications: int
    empty_issue_cycles: int
    output: Array


def run_step(
    layer: Layer,
    step: str,
    machine: Machine,
    input: Array | None,
    weight: Array | None,
    grad_output: Array | None,
    mask: Array | None = None,
) -> StepOracle:
    """Run one step of a layer; operands the step does not read may be None, and mask None sets every position.

    The output is O without bias (forward), dI behind its mask (gta) or dWt (gtw), int64 if all operands read are
    integers, else float64.

    Raises:
        ValueError: the step is unknown, an operand is missing or misshapen, or the accumulators do not suffice.
    """
    given = {"input": input, "weight": weight, "grad_output": grad_output, "mask": mask}
    tensors = gather_tensors(layer, step, given)
    check_accumulators(layer, step, machine)
    tasks = list_tasks(layer, step, machine)
    run_pe = PE_WORK[type(layer)][step]
    pe_rows = [[list(run_pe(layer, machine, tensors, run, *index[:-1])) for run in block] for index, block in tasks]
    output = tensors.out
    if tensors.mask is not None:
        output[tensors.mask == 0] = 0  # what the dense machine's PPU does; the sparse machine never wrote there
    pe_cycles = [[sum(row.cycles for row in rows) for rows in task] for task in pe_rows]
    task_cycles = [max(cycles) for cycles in pe_cycles]
    group_busy = dispatch_tasks(task_cycles, machine.groups)
    all_rows = [row for task in pe_rows for rows in task for row in rows]
    return StepOracle(
        cycles=max(group_busy),
        task_cycles=task_cycles,
        pe_cycles=pe_cycles,
        task_indices=[index for index, _ in tasks],
        group_busy=group_busy,
        row_ops=len(all_rows),
        multiplications=sum(row.multiplications for row in all_rows),
        empty_issue_cycles=sum(row.empty_issue_cycles for row in all_rows),
        output=output,
    )


def gather_tensors(layer: Layer, step: str, given: dict[str, Array | None]) -> Tensors:
    """Return a step's operands in the dtype of its sums, and a result of zeros; refuse missing or misshapen ones."""
    if step not in OPERAND_NAMES:
        raise ValueError(f"A step is one of {', '.join(OPERAND_NAMES)}, not {step!r}.")
    shapes: dict[str, tuple[int, ...]]
    if isinstance(layer, Conv):
        shapes = {"input": (layer.N, layer.C, layer.H, layer.W), "grad_output": (layer.N, layer.M, layer.P, layer.Q)}
        shapes["weight"] = (layer.M, layer.C // layer.G, layer.R, layer.S)
    else:
        shapes = {"input": (layer.N, layer.C), "grad_output": (layer.N, layer.M), "weight": (layer.M, layer.C)}
    shapes |= {"mask": shapes["input"], "output": shapes["grad_output"]}
    mask = given["mask"] if step == "gta" else None
    operands = []
    for name in OPERAND_NAMES[step] + (("mask",) if mask is not None else ()):
        tensor = given[name]
        if tensor is None or tensor.shape != shapes[name]:
            found = "nothing" if tensor is None else f"shape {tensor.shape}"
            raise ValueError(f"The {step} step of {layer} needs {name} of shape {shapes[name]}, it was given {found}.")
        operands.append(tensor)
    dtype = np.int64 if all(tensor.dtype.kind in "biu" for tensor in operands[:2]) else np.float64
    out = np.zeros(shapes[RESULT_NAMES[step]], dtype)
    return Tensors(operands[0].astype(dtype), operands[1].astype(dtype), mask, out)


def check_accumulators(layer: Layer, step: str, machine: Machine) -> None:
    """Refuse a step whose partial sums for one output row or kernel exceed the accumulators of a PE."""
    needed = {"forward": layer.Q, "gta": layer.W, "gtw": layer.R * layer.S}[step]
    if needed > machine.accumulators:
        raise ValueError(
            f"{layer} needs {needed} accumulators in each PE for its {step} step, the machine has "
            f"{machine.accumulators}."
        )


def count_kernels_per_pe(layer: Layer, machine: Machine) -> int:
    """Return k: as many kernels of a GTW task as fit a PE, but few enough to leave work for all groups."""
    fitting = machine.accumulators // (layer.R * layer.S)
    kernels = layer.M * (layer.C // layer.G)
    balanced = kernels // (machine.pes_per_group * machine.groups * machine.min_tasks_per_group)
    return max(1, min(fitting, balanced))


def deal_blocks(channels: range, pes: int, run: int) -> list[list[range]]:
    """Cut channels into blocks of pes * run and deal each in runs, PE 0 first; PEs of a short block may get none."""
    starts = range(0, len(channels), pes * run)
    return [[channels[start + i * run : start + (i + 1) * run] for i in range(pes)] for start in starts]


def list_tasks(layer: Layer, step: str, machine: Machine) -> list[tuple[TaskIndex, list[range]]]:
    """Return each task's index and its PEs' output channels (forward) or input channels, in order of dispatch.

    An index is (n, p, block), (n, h, block) or (m, block); a fully connected layer has no p or h. Blocks are numbered
    on through the groups of a grouped convolution.
    """
    width = (layer.M if step == "forward" else layer.C) // layer.G
    run = count_kernels_per_pe(layer, machine) if step == "gtw" else 1
    blocks = []
    for g in range(layer.G):
        blocks += [(g, block) for block in deal_blocks(range(g * width, (g + 1) * width), machine.pes_per_group, run)]
    if step == "gtw":
        outer: list[TaskIndex] = [(m,) for m in range(layer.M)]
    elif isinstance(layer, Linear):
        outer = [(n,) for n in range(layer.N)]
    else:
        outer = [(n, row) for n in range(layer.N) for row in range(layer.P if step == "forward" else layer.H)]
    tasks = []
    for place in outer:
        for index, (g, block) in enumerate(blocks):
            if step != "gtw" or g == place[0] // (layer.M // layer.G):
                tasks.append(((*place, index), block))
    return tasks


def dispatch_tasks(task_cycles: list[int], groups: int) -> list[int]:
    """Give each task in order to the group free earliest, lowest index on a tie; return when each group ends."""
    free_at = [0] * groups
    for cycles in task_cycles:
        free_at[free_at.index(min(free_at))] += cycles
    return free_at


def divide_up(amount: int, share: int) -> int:
    return (amount + share - 1) // share


def charge_row(machine: Machine, taps: list[int]) -> Row:
    """Charge a row operation of a convolution; taps holds the multiplications of each driver element issued."""
    floor = machine.empty_issue_cycles if machine.skip_zeros else 0
    issue_cycles = [max(floor, divide_up(count, machine.multipliers_per_pe)) for count in taps]
    return Row(machine.row_overhead_cycles + sum(issue_cycles), sum(taps), floor * taps.count(0))


def charge_dot(machine: Machine, products: int) -> Row:
    """Charge a row operation of a fully connected layer, whose products are packed across driver elements."""
    return Row(machine.row_overhead_cycles + divide_up(products, machine.multipliers_per_pe), products, 0)


def list_driving(machine: Machine, driver: Array) -> list[int]:
    """Return the positions of the driver elements that the machine issues: its nonzeros, or all on a dense machine."""
    return [x for x in range(len(driver)) if not machine.skip_zeros or driver[x] != 0]


def run_src(layer: Conv, machine: Machine, driver: Array, kernel_row: Array, out_row: Array) -> Row:
    """Add I[n, c, h, :] (W) convolved with Wt[m, c, r, :] (S) into O[n, m, p, :] (Q)."""
    taps = []
    for w in list_driving(machine, driver):
        live = 0
        for s in range(layer.S):
            q, remainder = divmod(w + layer.pad_w - s, layer.U)
            if remainder != 0 or not 0 <= q < layer.Q:
                continue
            if machine.skip_zeros and machine.skip_weights and kernel_row[s] == 0:
                continue
            out_row[q] += driver[w] * kernel_row[s]
            live += 1
        taps.append(live)
    return charge_row(machine, taps)


def run_msrc(
    layer: Conv, machine: Machine, driver: Array, kernel_row: Array, mask_row: Array | None, out_row: Array
) -> Row:
    """Add dO[n, m, p, :] (Q) spread by Wt[m, c, r, :] (S) into dI[n, c, h, :] (W) where the mask row is set."""
    taps = []
    for q in list_driving(machine, driver):
        live = 0
        for s in range(layer.S):
            w = q * layer.U + s - layer.pad_w
            if not 0 <= w < layer.W:
                continue
            if machine.skip_zeros and mask_row is not None and mask_row[w] == 0:
                continue
            if machine.skip_zeros and machine.skip_weights and kernel_row[s] == 0:
                continue
            out_row[w] += driver[q] * kernel_row[s]
            live += 1
        taps.append(live)
    return charge_row(machine, taps)


def run_osrc(layer: Conv, machine: Machine, driver: Array, input_row: Array, kernel_sums: Array) -> Row:
    """Add the products of dO[n, m, p, :] (Q) and I[n, c, h, :] (W) into dWt[m, c, r, :] (S)."""
    taps = []
    for q in list_driving(machine, driver):
        live = 0
        for s in range(layer.S):
            w = q * layer.U + s - layer.pad_w
            if not 0 <= w < layer.W:
                continue
            if machine.skip_zeros and input_row[w] == 0:
                continue
            kernel_sums[s] += driver[q] * input_row[w]
            live += 1
        taps.append(live)
    return charge_row(machine, taps)


def find_output_row(layer: Conv, h: int, r: int) -> int | None:
    """Return the p with h = pU + r - pad, or None where there is none in range."""
    p, remainder = divmod(h + layer.pad_h - r, layer.U)
    return p if remainder == 0 and 0 <= p < layer.P else None


def conv_forward(layer: Conv, machine: Machine, t: Tensors, channels: range, n: int, p: int) -> Iterator[Row]:
    for m in channels:
        g = m // (layer.M // layer.G)
        for c in range(layer.C // layer.G):
            for r in range(layer.R):
                h = p * layer.U + r - layer.pad_h
                if 0 <= h < layer.H:
                    driver = t.driver[n, g * (layer.C // layer.G) + c, h]
                    yield run_src(layer, machine, driver, t.second[m, c, r], t.out[n, m, p])


def conv_gta(layer: Conv, machine: Machine, t: Tensors, channels: range, n: int, h: int) -> Iterator[Row]:
    for c in channels:
        g, local_c = divmod(c, layer.C // layer.G)
        mask_row = None if t.mask is None else t.mask[n, c, h]
        for m in range(g * (layer.M // layer.G), (g + 1) * (layer.M // layer.G)):
            for r in range(layer.R):
                p = find_output_row(layer, h, r)
                if p is not None:
                    kernel_row = t.second[m, local_c, r]
                    yield run_msrc(layer, machine, t.driver[n, m, p], kernel_row, mask_row, t.out[n, c, h])


def conv_gtw(layer: Conv, machine: Machine, t: Tensors, channels: range, m: int) -> Iterator[Row]:
    for n in range(layer.N):
        for h in range(layer.H):
            for c in channels:
                for r in range(layer.R):
                    p = find_output_row(layer, h, r)
                    if p is not None:
                        kernel_sums = t.out[m, c % (layer.C // layer.G), r]
                        yield run_osrc(layer, machine, t.driver[n, m, p], t.second[n, c, h], kernel_sums)


def linear_forward(_layer: Linear, machine: Machine, t: Tensors, channels: range, n: int) -> Iterator[Row]:
    for m in channels:
        live = list_driving(machine, t.driver[n])
        for c in live:
            t.out[n, m] += t.driver[n, c] * t.second[m, c]
        yield charge_dot(machine, len(live))


def linear_gta(_layer: Linear, machine: Machine, t: Tensors, channels: range, n: int) -> Iterator[Row]:
    for c in channels:
        if machine.skip_zeros and t.mask is not None and t.mask[n, c] == 0:
            continue
        live = list_driving(machine, t.driver[n])
        for m in live:
            t.out[n, c] += t.driver[n, m] * t.second[m, c]
        yield charge_dot(machine, len(live))


def linear_gtw(layer: Linear, machine: Machine, t: Tensors, channels: range, m: int) -> Iterator[Row]:
    for n in range(layer.N if len(channels) > 0 else 0):
        if machine.skip_zeros and t.driver[n, m] == 0:
            continue
        live = [c for c in channels if not machine.skip_zeros or t.second[n, c] != 0]
        for c in live:
            t.out[m, c] += t.driver[n, m] * t.second[n, c]
        yield charge_dot(machine, len(live))


PE_WORK: dict[type, dict[str, Callable[..., Iterator[Row]]]] = {
    Conv: {"forward": conv_forward, "gta": conv_gta, "gtw": conv_gtw},
    Linear: {"forward": linear_forward, "gta": linear_gta, "gtw": linear_gtw},
}


def nominal_macs(layer: Layer) -> int:
    """Count the multiplications of one step with those on the padding included."""
    return layer.N * layer.M * layer.P * layer.Q * (layer.C // layer.G) * layer.R * layer.S


def dense_macs(layer: Layer) -> int:
    """Count the multiplications of one step whose input position lies in range, the same for all three steps."""
    rows = sum(0 <= p * layer.U + r - layer.pad_h < layer.H for p in range(layer.P) for r in range(layer.R))
    columns = sum(0 <= q * layer.U + s - layer.pad_w < layer.W for q in range(layer.Q) for s in range(layer.S))
    return layer.N * layer.M * (layer.C // layer.G) * rows * columns
