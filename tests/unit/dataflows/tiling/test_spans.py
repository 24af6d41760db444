"""Which driver rows runs of result rows read, against the sets that pairs of rows name."""

from __future__ import annotations

import numpy as np
import pytest
from random_layers import draw_conv_shape

from dataflows.rows.geometry import describe_rows
from dataflows.tiling.spans import find_spans, span_rows, sum_run
from workloads.arrays import IntArray
from workloads.shapes import ConvShape, Step

SHAPES = [draw_conv_shape(np.random.default_rng([62, index])) for index in range(60)]


def list_pairs() -> list[IntArray]:
    """List the pairs of rows of both steps, and of the lower half of the kernel rows alone."""
    found = [describe_rows(shape, step).pairs for shape in SHAPES for step in (Step.FORWARD, Step.GTA)]
    return found + [pairs[:, pairs.shape[1] // 2 :] for pairs in found]


def test_a_span_holds_the_driver_rows_of_a_result_row_and_of_none_that_stand_between() -> None:
    low, high = span_rows(np.array([[0, 1], [-1, -1], [3, 4]]))
    assert low.tolist() == [0, 3, 3]
    assert high.tolist() == [2, 2, 5]


def test_runs_of_rows_read_the_rows_that_they_meet_and_no_others() -> None:
    for pairs in list_pairs():
        spans = find_spans(pairs)
        used = {int(row) for row in pairs.reshape(-1) if row >= 0}
        amounts = np.array([row + 1 if row in used else 0 for row in range(max(used, default=-1) + 1)], dtype=np.int64)
        table = np.zeros((2, len(amounts) + 1, 2), dtype=np.int64)
        table[1, 1:, 1] = amounts.cumsum()
        for x in range(len(pairs)):
            for x_end in range(x + 1, len(pairs) + 1):
                read = {int(row) for row in pairs[x:x_end].reshape(-1) if row >= 0}
                found = spans.sum_up(table[None], range(1), range(x, x_end), range(1))
                low, high = spans.find(x, x_end)
                compiled = sum_run(table, 0, 1, low, high, 0, 1, spans.met, x, x_end)
                assert found == compiled == sum(row + 1 for row in read)
                assert spans.count(x, x_end) >= len(read)


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_rows_are_listed_one_by_one_only_where_taps_lie_apart(dilation: int) -> None:
    shape = ConvShape(1, 1, 12, 12, 1, 3, 3, padding=(1, 1, 1, 1), dilation=(dilation, 1))
    for step in (Step.FORWARD, Step.GTA):
        assert (find_spans(describe_rows(shape, step).pairs).met.size > 1) is (dilation > 1)
