"""The simulator: time, results, sweeps. ``from sim import simulate`` runs a workload as the command line does."""

from typing import TYPE_CHECKING

from sim.lazy_names import offer_names

__all__ = ["Architecture", "RunResult", "StepResult", "load_architecture", "simulate"]

if TYPE_CHECKING:
    from sim.architecture import Architecture, load_architecture
    from sim.results.rows import StepResult
    from sim.run import RunResult, simulate
else:
    # The machine takes long to import; what only reads results does without it.
    __getattr__, __dir__ = offer_names(
        __name__,
        {
            "Architecture": "sim.architecture",
            "RunResult": "sim.run",
            "StepResult": "sim.results.rows",
            "load_architecture": "sim.architecture",
            "simulate": "sim.run",
        },
    )
