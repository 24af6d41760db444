"""With banks too, the compiled engine equals SimPy's in every number: on random steps, timings, clocks and layouts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from banked_channels import draw_streams, draw_timing
from conformance.stepped_pairs import make_table
from conformance.test_engines import NARROW, list_numbers, make_traffic
from drawn_cases import thin
from random_layers import draw_case

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.dram_presets import list_drams, load_dram
from sim.machine.accelerator import Engine, run_step
from sim.machine.banked_channels import BankedDram
from workloads.shapes import Step

CASES = 120


def draw_dram(rng: np.random.Generator) -> BankedDram:
    """Draw channels of a random or of a shipped timing, and two clocks."""
    shipped = rng.random() < 0.3
    timing = load_dram(str(rng.choice(list_drams()))).describe() if shipped else draw_timing(rng)
    return BankedDram(int(rng.integers(1, 4)), timing, int(rng.integers(100, 2000)), int(rng.integers(100, 2000)))


@pytest.mark.parametrize("seed", thin(range(60)))
def test_layers_that_a_dataflow_lowers_give_the_same_numbers_and_move_their_bytes(seed: int) -> None:
    operands, array = draw_case(89, seed)
    rng = np.random.default_rng((89, seed))
    dram = draw_dram(rng)
    machine = dataclasses.replace(NARROW, banked=dram)
    for step in Step:
        try:
            share = MemoryShare(capacity_bytes=int(rng.choice([800, 3000, 100_000])))
            table = RowConvolution().lower(StepProblem(operands, step, array, share))
        except UnmappableLayerError:
            continue
        assert table.traffic is not None
        simpy, compiled = (run_step(table, array.groups, machine, engine) for engine in (Engine.SIMPY, Engine.COMPILED))
        assert list_numbers(compiled) == list_numbers(simpy)
        assert compiled.commands is not None
        width, streams = dram.timing.burst_bytes, table.traffic.streams
        assert streams is not None
        runs = int((streams.size_bytes > 0).sum())
        moved = width * (compiled.commands.reads + compiled.commands.writes)
        bytes_moved = compiled.dram_read_bytes + compiled.dram_write_bytes
        # A run touches at most two bursts more than its bytes would fill.
        assert bytes_moved <= moved < bytes_moved + 2 * width * runs + 1


@pytest.mark.parametrize("seed", thin(range(CASES)))
def test_both_engines_give_the_same_numbers(seed: int) -> None:
    rng = np.random.default_rng((61, seed))
    tiles = int(rng.integers(1, 9))
    traffic = make_traffic(seed, int(rng.choice([1, 20, 500, 20_000])), tiles, int(rng.integers(0, 5)))
    if seed % 3:
        traffic = dataclasses.replace(traffic, streams=draw_streams(rng, traffic))
    machine = dataclasses.replace(NARROW, banked=draw_dram(rng))
    table = make_table(traffic)
    simpy, compiled = (run_step(table, 3, machine, engine) for engine in (Engine.SIMPY, Engine.COMPILED))
    assert list_numbers(compiled) == list_numbers(simpy)
    assert compiled.commands is not None
    assert compiled.commands.activates > 0 or not (traffic.tile_load_bytes + traffic.tile_write_back_bytes).any()
