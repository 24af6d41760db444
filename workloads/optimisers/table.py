"""The optimisers by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.optimisers.optimiser import Optimiser
from workloads.plugins import ExtensionPoint

OPTIMISERS = ExtensionPoint[Optimiser](
    "sparsetrain.optimisers",
    "optimiser",
    {
        "sgd": "workloads.optimisers.sgd:Sgd",
        "adam": "workloads.optimisers.adam:Adam",
        "adamw": "workloads.optimisers.adamw:AdamW",
    },
    Optimiser,
)
