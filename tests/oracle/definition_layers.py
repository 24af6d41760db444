"""Records of the definition: the machine, and what is known of a layer before any of its values.

Letters: N images; C, H, W input channels, height, width; M, P, Q output channels, height, width; R, S kernel height,
width; U stride; D dilation; G groups of a grouped convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Machine:
    """Describe the part of the accelerator that the ideal machine depends on; skip_zeros=False is the dense machine.

    skip_empty_rows: row operations that cannot multiply are none; the dense machine knows no such thing.
    """

    groups: int = 56
    pes_per_group: int = 3
    multipliers_per_pe: int = 1
    accumulators: int = 256
    min_tasks_per_group: int = 8
    row_overhead_cycles: int = 1
    empty_issue_cycles: int = 1
    skip_zeros: bool = True
    skip_weights: bool = False
    pack_groups: bool = False
    skip_empty_rows: bool = False

    @property
    def leaves_rows_out(self) -> bool:
        """Say whether row operations that cannot multiply are left out."""
        return self.skip_zeros and self.skip_empty_rows


def split_pair(sizes: int | Pair) -> Pair:
    """Return what holds for both ends or both axes as two numbers."""
    return (sizes, sizes) if isinstance(sizes, int) else sizes


@dataclass(frozen=True)
class Conv:
    """Describe a convolution: input (N, C, H, W), weight (M, C/G, R, S), output (N, M, P, Q).

    U, D: one number, or that of the height and that of the width. pad_h: one number, or (top, bottom); pad_w: one, or
    (left, right). PQ: the output's size where it is given, else what the geometry makes it.
    """

    N: int
    C: int
    H: int
    W: int
    M: int
    R: int
    S: int
    U: int | Pair = 1
    pad_h: int | Pair = 0
    pad_w: int | Pair = 0
    G: int = 1
    D: int | Pair = 1
    PQ: Pair | None = None

    def __post_init__(self) -> None:
        if self.C % self.G != 0 or self.M % self.G != 0:
            raise ValueError(f"G = {self.G} must divide C = {self.C} and M = {self.M}.")
        if self.P < 1 or self.Q < 1:
            raise ValueError(f"The output must have at least one row and column, not P = {self.P} and Q = {self.Q}.")

    @property
    def P(self) -> int:  # noqa: N802
        if self.PQ is not None:
            return self.PQ[0]
        return (self.H + sum(split_pair(self.pad_h)) - split_pair(self.D)[0] * (self.R - 1) - 1) // self.U_h + 1

    @property
    def Q(self) -> int:  # noqa: N802
        if self.PQ is not None:
            return self.PQ[1]
        return (self.W + sum(split_pair(self.pad_w)) - split_pair(self.D)[1] * (self.S - 1) - 1) // self.U_w + 1

    @property
    def U_h(self) -> int:  # noqa: N802
        return split_pair(self.U)[0]

    @property
    def U_w(self) -> int:  # noqa: N802
        return split_pair(self.U)[1]

    def find_height(self, p: int, r: int) -> int:
        """Return h = p U + r D - top, in range or not."""
        return p * self.U_h + r * split_pair(self.D)[0] - split_pair(self.pad_h)[0]

    def find_width(self, q: int, s: int) -> int:
        """Return w = q U + s D - left, in range or not."""
        return q * self.U_w + s * split_pair(self.D)[1] - split_pair(self.pad_w)[0]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output."""
        return {
            "input": (self.N, self.C, self.H, self.W),
            "weight": (self.M, self.C // self.G, self.R, self.S),
            "output": (self.N, self.M, self.P, self.Q),
        }


@dataclass(frozen=True)
class Transposed:
    """Describe a transposed convolution by the convolution K whose input is its output, and the other way round."""

    K: Conv

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of this layer's own input, weight and output."""
        shapes = self.K.shapes
        return {"input": shapes["output"], "weight": shapes["weight"], "output": shapes["input"]}


@dataclass(frozen=True)
class Linear:
    """Describe a fully connected layer: input (N, C), weight (M, C), output (N, M)."""

    N: int
    C: int
    M: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output."""
        return {"input": (self.N, self.C), "weight": (self.M, self.C), "output": (self.N, self.M)}


@dataclass(frozen=True)
class Product:
    """Describe a product of two activations: input (Z, T, C), weight (Z, M, C), output (Z, T, M), for each place of Z.

    The weight is the second activation in the layout of a fully connected layer's weight.
    """

    Z: int
    T: int
    C: int
    M: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of input, weight and output."""
        return {
            "input": (self.Z, self.T, self.C),
            "weight": (self.Z, self.M, self.C),
            "output": (self.Z, self.T, self.M),
        }


Layer = Conv | Transposed | Linear | Product


def divide_up(amount: int, share: int) -> int:
    return (amount + share - 1) // share


def cut_strips(width: int, accumulators: int) -> list[range]:
    """Cut an output row into the fewest strips that fit the accumulators, of equal length but for the last."""
    length = divide_up(width, divide_up(width, accumulators))
    return [range(start, min(start + length, width)) for start in range(0, width, length)]


def cut_kernel(layer: Conv, accumulators: int) -> list[range]:
    """Cut a kernel into runs of kernel rows that fit the accumulators."""
    if accumulators >= layer.R * layer.S:
        return [range(layer.R)]
    if accumulators < layer.S:
        raise ValueError(
            f"{layer} needs {layer.S} accumulators in each PE for its gtw step, the machine has {accumulators}."
        )
    length = divide_up(layer.R, divide_up(layer.R, accumulators // layer.S))
    return [range(start, min(start + length, layer.R)) for start in range(0, layer.R, length)]


def nominal_macs(layer: Layer) -> int:
    """Count the multiplications of one step with those on the padding included."""
    if isinstance(layer, Linear):
        return layer.N * layer.M * layer.C
    if isinstance(layer, Product):
        return layer.Z * layer.T * layer.M * layer.C
    K = layer if isinstance(layer, Conv) else layer.K
    return K.N * K.M * K.P * K.Q * (K.C // K.G) * K.R * K.S


def dense_macs(layer: Layer) -> int:
    """Count the multiplications of one step whose input position lies in range, the same for all three steps."""
    if isinstance(layer, Linear | Product):
        return nominal_macs(layer)
    K = layer if isinstance(layer, Conv) else layer.K
    rows = sum(0 <= K.find_height(p, r) < K.H for p in range(K.P) for r in range(K.R))
    columns = sum(0 <= K.find_width(q, s) < K.W for q in range(K.Q) for s in range(K.S))
    return K.N * K.M * (K.C // K.G) * rows * columns
