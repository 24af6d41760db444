"""Sentences about DRAM with banks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.quantities import write_percent


def describe_banks(banked: Mapping[str, Any]) -> str:
    """Say what DRAM with banks is, and how its clock stands to the machine's.

    Args:
        banked: As a record holds it.
    """
    channels, clocks, cycles = banked["channels"], banked["dram_clocks"], banked["machine_cycles"]
    return (
        f"DRAM: {channels} {'channel' if channels == 1 else 'channels'} of {banked['timing']} with banks"
        f"{' (assumed)' if banked['assumed'] else ''}, at {banked['dram_mhz']:,} MHz: {clocks:,} "
        f"{'clock' if clocks == 1 else 'clocks'} in {cycles:,} {'cycle' if cycles == 1 else 'cycles'} of the machine; "
        f"at most {banked['bytes_per_cycle']:g} bytes a cycle."
    )


def describe_hits(counts: Mapping[str, Any]) -> str:
    """Say how many bursts of a step found their row open.

    Args:
        counts: Of actions.
    """
    bursts, activates = int(counts["dram_read_bursts"] + counts["dram_write_bursts"]), int(counts["dram_activates"])
    if not bursts:
        return "DRAM moved nothing."
    return (
        f"DRAM opened {activates:,} {'row' if activates == 1 else 'rows'} for {bursts:,} bursts, "
        f"{write_percent(max(0, bursts - activates), bursts)} of which came to an open row."
    )
