"""Random DRAM timings and requests, small enough for a model that steps from clock to clock."""

from __future__ import annotations

import numpy as np

from dataflows.contract.memory import TileStreams, Traffic
from sim.machine.bank_state import BankTiming


def draw_timing(rng: np.random.Generator) -> BankTiming:
    """Draw a channel of few banks with short rows, whose refreshes fall due often."""

    def draw(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    burst = int(rng.choice([1, 2, 4]))
    ccd_s, rrd_s, wtr_s = draw(1, 5), draw(1, 5), draw(0, 5)
    return BankTiming(
        ranks=draw(1, 2),
        groups=draw(1, 3),
        banks=draw(1, 3),
        row_bursts=draw(1, 6),
        burst_bytes=int(rng.choice([16, 64])),
        queue=draw(1, 8),
        burst=burst,
        cl=draw(2, 8),
        cwl=draw(1, 8),
        rcd=draw(1, 9),
        rp=draw(1, 9),
        ras=draw(1, 20),
        rtp=draw(1, 9),
        wr=draw(0, 12),
        ccd_s=ccd_s,
        ccd_l=ccd_s + draw(0, 3),
        rrd_s=rrd_s,
        rrd_l=rrd_s + draw(0, 3),
        faw=draw(4, 40),
        wtr_s=wtr_s,
        wtr_l=wtr_s + draw(0, 4),
        rtrs=draw(0, 3),
        refi=draw(150, 400),
        rfc=draw(5, 60),
        is_group_lowest=draw(0, 1),
    )


def draw_streams(rng: np.random.Generator, traffic: Traffic) -> TileStreams:
    """Draw where the transfers of tiles lie in one to three tensors that are read, and in the one that is written."""
    loads, tiles = traffic.tile_load_bytes, len(traffic.tile_load_bytes)
    cuts = np.sort(rng.integers(0, loads[:, None] + 1, (tiles, int(rng.integers(0, 3)))), axis=1)
    cuts = np.concatenate([np.zeros((tiles, 1), dtype=np.int64), cuts, loads[:, None]], axis=1)
    sizes = np.concatenate([np.diff(cuts, axis=1), traffic.tile_write_back_bytes[:, None]], axis=1)
    tensor_bytes = sizes.max(axis=0) + rng.integers(0, 5000, sizes.shape[1])
    return TileStreams(tensor_bytes, rng.integers(0, tensor_bytes - sizes + 1), sizes)
