"""Random layers of general geometry for the definition, with small-integer operands."""

from __future__ import annotations

import numpy as np
from oracle.definition_layers import Array, Conv, Layer, Linear, Machine, Product, Transposed
from oracle.layer_loops import ConvLoops, TransposedLoops


def draw_conv(rng: np.random.Generator) -> Conv:
    """Draw unequal strides, paddings on each side, dilations, groups and kernels; small groups often."""
    while True:
        H, W = (int(size) for size in rng.integers(1, (6, 14)))
        R, S = (int(size) for size in rng.integers(1, 4, 2))
        U, D = ((int(a), int(b)) for a, b in rng.integers(1, 4, (2, 2)))
        top, left, bottom, right = (int(size) for size in rng.integers(0, 3, 4))
        G = int(rng.choice([1, 1, 2, 3, 5]))
        C, M = (G * int(size) for size in rng.integers(1, 4, 2))
        if H + top + bottom > D[0] * (R - 1) and W + left + right > D[1] * (S - 1):
            return Conv(int(rng.integers(1, 3)), C, H, W, M, R, S, U, (top, bottom), (left, right), G, D)


def draw_transposed(rng: np.random.Generator) -> Transposed:
    """Draw a transposed convolution by its K, whose input size follows from its output size and output padding."""
    while True:
        base = draw_conv(rng)
        loops = TransposedLoops(
            (base.N, base.M, int(rng.integers(1, 5)), int(rng.integers(1, 8))),
            (base.M, base.C // base.G, base.R, base.S),
            base.U,
            (base.pad_h[0], base.pad_w[0], base.pad_h[1], base.pad_w[1]),
            tuple(int(rng.integers(max(pair))) for pair in zip(base.U, base.D, strict=True)),
            base.D,
            base.G,
        )
        H, W = loops.output_shape[2:]
        if H >= 1 and W >= 1:
            size = loops.input_shape[2:]
            return Transposed(
                Conv(base.N, base.C, H, W, base.M, base.R, base.S, base.U, base.pad_h, base.pad_w, base.G, base.D, size)
            )


def draw_layer(rng: np.random.Generator) -> Layer:
    """Draw a layer of any kind, convolutions most often."""
    sizes = [int(size) for size in rng.integers(1, 7, 4)]
    kind = int(rng.integers(6))
    if kind == 0:
        return Linear(*sizes[:3])
    if kind == 1:
        return Product(min(sizes[3], 3), *sizes[:3])
    return draw_transposed(rng) if kind < 4 else draw_conv(rng)


def draw_machine(rng: np.random.Generator) -> Machine:
    """Draw a machine whose accumulators seldom hold a whole row or kernel, but a kernel row always."""
    return Machine(
        groups=int(rng.choice([1, 2, 5])),
        pes_per_group=int(rng.integers(1, 7)),
        multipliers_per_pe=int(rng.integers(1, 3)),
        accumulators=int(rng.choice([3, 4, 7, 256])),
        min_tasks_per_group=int(rng.choice([1, 8])),
        row_overhead_cycles=int(rng.integers(0, 3)),
        empty_issue_cycles=int(rng.integers(0, 3)),
        skip_zeros=bool(rng.random() < 0.7),
        skip_weights=bool(rng.random() < 0.3),
        pack_groups=bool(rng.random() < 0.6),
    )


def draw_tensor(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draw small integers of any density."""
    density = float(rng.choice([0.1, 0.4, 0.7, 1.0]))
    return rng.integers(-3, 4, shape) * (rng.random(shape) < density)


def draw_operands(rng: np.random.Generator, layer: Layer) -> dict[str, Array | None]:
    """Draw input, weight, grad_output and, in two of three cases, a mask of the input's shape."""
    shapes = layer.shapes
    input, weight, grad_output = (draw_tensor(rng, shapes[name]) for name in ("input", "weight", "output"))
    mask = (None, input != 0, rng.random(input.shape) < 0.5)[int(rng.integers(3))]
    return {"input": input, "weight": weight, "grad_output": grad_output, "mask": mask}


def make_loops(layer: Conv | Transposed) -> ConvLoops | TransposedLoops:
    """Give a convolution of either kind as its plain loops; the output padding is what is left of the output."""
    K = layer if isinstance(layer, Conv) else layer.K
    padding = (K.pad_h[0], K.pad_w[0], K.pad_h[1], K.pad_w[1])
    if isinstance(layer, Conv):
        return ConvLoops(layer.shapes["input"], layer.shapes["weight"], K.U, padding, K.D, K.G)
    bare = TransposedLoops(layer.shapes["input"], layer.shapes["weight"], K.U, padding, (0, 0), K.D, K.G)
    rest = (K.H - bare.output_shape[2], K.W - bare.output_shape[3])
    return TransposedLoops(layer.shapes["input"], layer.shapes["weight"], K.U, padding, rest, K.D, K.G)
