"""Sweeps: many points of a design space into one store, and what they tell.

``from sim.sweep import load_sweep`` reads a store as a DataFrame.
"""

from typing import TYPE_CHECKING

from sim.lazy_names import offer_names

__all__ = ["SweepOptions", "load_sweep", "measure_sensitivity", "run_sweep", "select_pareto"]

if TYPE_CHECKING:
    from sim.sweep.analysis import measure_sensitivity, select_pareto
    from sim.sweep.reading import load_sweep
    from sim.sweep.sweep import SweepOptions, run_sweep
else:
    # Reading a store needs neither the machine nor the workloads.
    __getattr__, __dir__ = offer_names(
        __name__,
        {
            "SweepOptions": "sim.sweep.sweep",
            "load_sweep": "sim.sweep.reading",
            "measure_sensitivity": "sim.sweep.analysis",
            "run_sweep": "sim.sweep.sweep",
            "select_pareto": "sim.sweep.analysis",
        },
    )
