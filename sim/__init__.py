"""The simulator: time, results, sweeps. ``from sim import simulate`` runs a workload as the command line does."""

from sim.architecture import Architecture, load_architecture
from sim.results import StepResult
from sim.run import RunResult, simulate

__all__ = ["Architecture", "RunResult", "StepResult", "load_architecture", "simulate"]
