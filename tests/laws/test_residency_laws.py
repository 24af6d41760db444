"""What stays in the buffer makes no step longer that is cut as it was; other tilings may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from compiled_kernels import compile_kernels
from random_layers import draw_case

from dataflows.contract.memory import Kept, MemoryShare, Tiling
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import Engine, StepTiming, run_step
from sim.machine.surroundings import Surroundings
from workloads.shapes import Step

CASES = 60
DATAFLOW = RowConvolution()
READ = {Step.FORWARD: ("input",), Step.GTA: ("grad_output",), Step.GTW: ("input", "grad_output")}


def draw_speeds(rng: np.random.Generator) -> Surroundings:
    """Draw ports, bandwidth and latency, most of them scarce."""
    return Surroundings(
        ports=int(rng.choice([1, 4, 32])), bytes_per_port_cycle=int(rng.choice([2, 16])),
        dram_bytes_per_cycle=int(rng.choice([1, 4, 32])), dram_latency_cycles=int(rng.choice([0, 9, 100])),
        elements_per_cycle=int(rng.choice([1, 4])), prefetches_next_task=bool(rng.random() < 0.5),
    )  # fmt: skip


@pytest.mark.parametrize("number", range(CASES))
def test_in_the_same_tiles_a_step_takes_no_more_cycles_and_moves_no_more(number: int) -> None:
    compile_kernels()
    operands, array = draw_case(151, number)
    rng = np.random.default_rng((151, number))
    speeds = draw_speeds(rng)
    for step in Step:
        whole = DATAFLOW.lower(StepProblem(operands, step, array, MemoryShare(None))).traffic
        assert whole is not None
        tasks, reductions = (
            tuple(int(rng.integers(1, int(size) + 1)) for size in part.split("x")) for part in whole.tiling.split("|")
        )
        share = MemoryShare(None, 64, tiling=Tiling(tasks, reductions))
        kept = Kept(
            frozenset(name for name in READ[step] if rng.random() < 0.7),
            has_result=step is not Step.GTW and bool(rng.random() < 0.5),
        )

        def run(memory: MemoryShare, step: Step = step) -> StepTiming:
            table = DATAFLOW.lower(StepProblem(operands, step, array, memory))
            return run_step(table, array.groups, speeds, Engine.COMPILED)

        plain, less = run(share), run(replace(share, kept=kept))
        assert less.cycles <= plain.cycles
        assert less.dram_read_bytes <= plain.dram_read_bytes
        assert less.dram_write_bytes <= plain.dram_write_bytes
        assert less.ports_busy_cycles == plain.ports_busy_cycles
