"""The simulator: time, results, sweeps. ``from sim import simulate`` runs a workload as the command line does."""

from typing import TYPE_CHECKING

from sim.lazy_names import offer_names

__all__ = [
    "Architecture",
    "Interconnect",
    "RunResult",
    "ScalingResult",
    "StepResult",
    "Topology",
    "TrainingStudy",
    "load_architecture",
    "read_training",
    "scale",
    "simulate",
    "train",
]

if TYPE_CHECKING:
    from sim.architecture import Architecture, load_architecture
    from sim.results.rows import StepResult
    from sim.run import RunResult, simulate
    from sim.scaling.interconnect import Interconnect, Topology
    from sim.scaling.scaling import ScalingResult, scale
    from sim.training.study import TrainingStudy, read_training, train
else:
    # The machine takes long to import; what only reads results does without it.
    __getattr__, __dir__ = offer_names(
        __name__,
        {
            "Architecture": "sim.architecture",
            "Interconnect": "sim.scaling.interconnect",
            "RunResult": "sim.run",
            "ScalingResult": "sim.scaling.scaling",
            "StepResult": "sim.results.rows",
            "Topology": "sim.scaling.interconnect",
            "load_architecture": "sim.architecture",
            "scale": "sim.scaling.scaling",
            "TrainingStudy": "sim.training.study",
            "read_training": "sim.training.study",
            "simulate": "sim.run",
            "train": "sim.training.study",
        },
    )
