"""Hypothesis strategies for layers, their operands and the machines that run them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from random_layers import ALL_STEPS, DENSITIES, draw_tensor

from sim.architecture import Architecture, ArraySection
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape


@st.composite
def conv_shapes(draw: st.DrawFn) -> ConvShape:
    """Draw a small convolution of any stride, padding, kernel and number of groups."""
    pad_height, pad_width = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    in_height, in_width = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    groups = draw(st.integers(1, 3))
    return ConvShape(
        batch=draw(st.integers(1, 3)),
        in_channels=groups * draw(st.integers(1, 4)),
        in_height=in_height,
        in_width=in_width,
        out_channels=groups * draw(st.integers(1, 4)),
        kernel_height=draw(st.integers(1, min(5, in_height + 2 * pad_height))),
        kernel_width=draw(st.integers(1, min(5, in_width + 2 * pad_width))),
        stride=(stride := draw(st.integers(1, 4)), stride),
        padding=(pad_height, pad_width, pad_height, pad_width),
        groups=groups,
    )


linear_shapes = st.builds(LinearShape, st.integers(1, 3), st.integers(1, 20), st.integers(1, 20))


@st.composite
def operands(draw: st.DrawFn, *, densities: tuple[float, ...] = DENSITIES, has_mask: bool | None = None) -> Operands:
    """Draw a layer and small-integer operands of the given densities; has_mask None leaves the mask to chance."""
    shape: LayerShape = draw(st.one_of(conv_shapes(), linear_shapes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    input, weight, grad_output = (
        draw_tensor(rng, size, draw(st.sampled_from(densities)))
        for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    is_masked = draw(st.booleans()) if has_mask is None else has_mask
    mask = rng.random(shape.input_shape) < 0.5 if is_masked else None
    return Operands("layer", shape, input, weight, None, grad_output, mask, ALL_STEPS)


@st.composite
def sparse_machines(draw: st.DrawFn) -> Architecture:
    """Draw a machine that skips zeros."""
    array = ArraySection(
        groups=draw(st.sampled_from([1, 2, 3, 7, 56])),
        pes_per_group=draw(st.integers(1, 4)),
        multipliers_per_pe=draw(st.integers(1, 4)),
        min_tasks_per_group=draw(st.integers(1, 8)),
        row_overhead_cycles=draw(st.integers(0, 2)),
        empty_issue_cycles=draw(st.integers(0, 2)),
        skip_weights=draw(st.booleans()),
    )
    return Architecture(name="drawn", array=array)
