"""Which rows meet, counted by hand: three input rows, kernels of three rows, padding of one."""

from __future__ import annotations

from dataflows.rows.geometry import describe_rows
from workloads.shapes import ConvShape, Step

SHAPE = ConvShape(
    batch=1, in_channels=4, in_height=3, in_width=5, out_channels=6, kernel_height=3, kernel_width=3,
    padding=(1, 1, 1, 1), groups=2,
)  # fmt: skip


def test_forward_is_driven_by_input_rows_and_gta_by_rows_of_the_gradient() -> None:
    forward, gta = describe_rows(SHAPE, Step.FORWARD), describe_rows(SHAPE, Step.GTA)
    assert (forward.depth, forward.outputs) == (4 // 2, 6 // 2)
    assert (gta.depth, gta.outputs) == (6 // 2, 4 // 2)
    assert (forward.driver_width, forward.result_width) == (gta.result_width, gta.driver_width) == (5, 5)


def test_the_same_rows_meet_in_both_steps_from_either_side() -> None:
    forward, gta = describe_rows(SHAPE, Step.FORWARD), describe_rows(SHAPE, Step.GTA)
    assert forward.pairs.tolist() == [[-1, 0, 1], [0, 1, 2], [1, 2, -1]]
    assert gta.pairs.tolist() == [[1, 0, -1], [2, 1, 0], [-1, 2, 1]]
