"""What a point's simulation is summed up to: the metric columns of a store, each with unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.results.rows import ENERGY_COLUMNS, describe_columns

if TYPE_CHECKING:
    from sim.iteration.run_result import RunResult

NETWORK, CONVOLUTIONS = "network", "convolutions"
COUNTED = (
    "bound_cycles",
    "busy_cycles",
    "wait_operands_cycles",
    "wait_dram_cycles",
    "wait_ppu_cycles",
    "idle_cycles",
    "pe_imbalance_cycles",
    "overhead_cycles",
    "dense_macs",
    "effectual_macs",
    "row_ops",
    "tasks",
    "tiles",
    "buffer_read_bytes",
    "buffer_write_bytes",
    "dram_read_bytes",
    "dram_write_bytes",
)
STEP_NAMES = ("forward", "gta", "gtw")
MAXIMIZED = ("speedup", "energy_ratio", "convolution_speedup", "busy_fraction")


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of a store; a metric is None where the machine or the sweep does not have it."""

    name: str
    unit: str
    meaning: str
    is_whole: bool = False


def list_metrics() -> tuple[Metric, ...]:
    """List the metrics of a point, in the order of their columns."""
    described = {name: (unit, meaning) for name, unit, meaning in describe_columns()}
    steps = [
        Metric(f"{name}_cycles", "cycles", f"Cycles of all {name} steps (forward: passes included).", True)
        for name in STEP_NAMES
    ]
    counted = [
        Metric(name, described[name][0], f"{described[name][1]} Summed over the network.", True) for name in COUNTED
    ]
    energies = [
        Metric(name, "pJ", f"{described[name][1]} Summed over the network.")
        for name in ENERGY_COLUMNS
        if name != "energy_pj"
    ]
    return (
        Metric("cycles", "cycles", "Cycles of the training iteration, elementwise passes included.", True),
        Metric("time_ms", "ms", "The iteration's cycles at the machine's clock."),
        Metric("energy_pj", "pJ", "All energy of the iteration; empty on a machine without a technology."),
        Metric("energy_delay_pj_ms", "pJ ms", "energy_pj x time_ms."),
        Metric("area_mm2", "mm2", "Area of the machine; empty without a technology."),
        Metric("leakage_mw", "mW", "Leakage power of the machine; empty without a technology."),
        Metric("multipliers", "multipliers", "Groups x PEs per group x multipliers per PE.", True),
        Metric("busy_fraction", "fraction", "busy_cycles / all the cycles of the groups, elementwise passes included."),
        Metric("convolution_cycles", "cycles", "Cycles of the convolutions alone.", True),
        *steps,
        Metric("speedup", "ratio", "The baseline's cycles over this machine's; empty without a baseline."),
        Metric("convolution_speedup", "ratio", "The same for the convolutions alone."),
        Metric("energy_ratio", "ratio", "The baseline's energy over this machine's."),
        Metric("cycles_ci95", "cycles", "Half the width of the 95 % interval of cycles; 0 without a sample."),
        Metric("energy_ci95_pj", "pJ", "Half the width of the 95 % interval of energy_pj; 0 without a sample."),
        Metric("sampled_fraction", "fraction", "Share of the machine's tiles that was simulated."),
        *counted,
        *energies,
    )


METRICS = list_metrics()
OBJECTIVES = tuple(metric.name for metric in METRICS)


def is_maximized(objective: str) -> bool:
    """Tell whether more of a metric is better; of all others less is."""
    return objective in MAXIMIZED


def measure_run(result: RunResult) -> dict[str, Any]:
    """Sum a run up to the metrics of its first machine.

    Returns:
        Every name of `METRICS`, with None where the machine does not have it.
    """
    machine = result.machines[0]
    totals = result.totals["machines"][machine.name]
    network = totals[NETWORK]
    described = result.record["machines"][machine.name]
    time_ms = network["cycles"] / machine.clock_mhz / 1000
    energy = network["energy_pj"]
    ratios = next(iter(result.totals["ratios"].values()), None)
    found: dict[str, Any] = {
        "cycles": network["cycles"],
        "time_ms": time_ms,
        "energy_pj": energy,
        "energy_delay_pj_ms": None if energy is None else energy * time_ms,
        "area_mm2": described["area_mm2"] if described else None,
        "leakage_mw": described["leakage_mw"] if described else None,
        "multipliers": machine.array.describe().multipliers,
        "busy_fraction": measure_busy(network),
        "convolution_cycles": totals[CONVOLUTIONS]["cycles"],
        **{f"{name}_cycles": network["cycles_by_step"].get(name, 0) for name in STEP_NAMES},
        "speedup": ratios[NETWORK]["speedup"] if ratios else None,
        "convolution_speedup": ratios[CONVOLUTIONS]["speedup"] if ratios else None,
        "energy_ratio": ratios[NETWORK]["energy_ratio"] if ratios else None,
        **measure_sample(result, machine.name, energy is not None),
        **{name: network[name] for name in COUNTED},
        **{name: network[name] for name in ENERGY_COLUMNS},
    }
    return {metric.name: found[metric.name] for metric in METRICS}


def measure_sample(result: RunResult, machine: str, has_energy: bool) -> dict[str, Any]:
    """Give how far a machine's figures may be off, and the share of its tiles they are made of."""
    sampling = result.record["sampling"]
    if sampling is None:
        return {"cycles_ci95": 0.0, "energy_ci95_pj": 0.0 if has_energy else None, "sampled_fraction": 1.0}
    found = sampling["machines"][machine]
    return {**found[NETWORK], "sampled_fraction": found["sampled_fraction"]}


def measure_busy(network: dict[str, Any]) -> float:
    """Give the busy share of the groups' time."""
    waits = ("wait_operands_cycles", "wait_dram_cycles", "wait_ppu_cycles", "idle_cycles")
    offered = network["busy_cycles"] + sum(network[name] for name in waits)
    return network["busy_cycles"] / offered if offered else 0.0
