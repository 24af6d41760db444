"""Sweeps: many points of a design space into one store, and what they tell.

``from sim.sweep import load_sweep`` reads a store as a DataFrame.
"""

from sim.sweep.analysis import measure_sensitivity, select_pareto
from sim.sweep.reading import load_sweep
from sim.sweep.sweep import SweepOptions, run_sweep

__all__ = ["SweepOptions", "load_sweep", "measure_sensitivity", "run_sweep", "select_pareto"]
