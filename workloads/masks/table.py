"""The producers of weight masks by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.masks.producer import MaskProducer
from workloads.plugins import ExtensionPoint

MASK_PRODUCERS = ExtensionPoint[MaskProducer](
    "sparsetrain.mask_producers",
    "mask producer",
    {"magnitude": "workloads.masks.magnitude:MagnitudeMask"},
    MaskProducer,
)
