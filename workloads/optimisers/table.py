"""The optimisers by name, those that ship and those of installed packages; no section of a workload names one yet."""

from __future__ import annotations

from workloads.optimisers.optimiser import Optimiser
from workloads.plugins import ExtensionPoint

OPTIMISERS = ExtensionPoint[Optimiser](
    "sparsetrain.optimisers", "optimiser", {"sgd": "workloads.optimisers.sgd:Sgd"}, Optimiser
)
