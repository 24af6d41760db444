"""The graph rewrites by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.plugins import ExtensionPoint
from workloads.rewrites.rewrite import Rewrite

REWRITES = ExtensionPoint[Rewrite](
    "sparsetrain.rewrites",
    "rewrite",
    {"remove_idle_dropout": "workloads.rewrites.idle_dropout:RemoveIdleDropout"},
    Rewrite,
)
