"""The producers of weight masks by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.masks.producer import MaskProducer
from workloads.plugins import ExtensionPoint

MASK_PRODUCERS = ExtensionPoint[MaskProducer](
    "sparsetrain.mask_producers",
    "mask producer",
    {
        "magnitude": "workloads.masks.magnitude:MagnitudeMask",
        "n_m": "workloads.masks.n_m:NOfMMask",
        "block": "workloads.masks.block:BlockMask",
        "filter": "workloads.masks.filter:FilterMask",
        "channel": "workloads.masks.channel:ChannelMask",
        "shape": "workloads.masks.shape:ShapeMask",
        "kernel": "workloads.masks.kernel:KernelMask",
        "kernel_row": "workloads.masks.kernel_row:KernelRowMask",
        "random_connect": "workloads.masks.random_connect:RandomConnectMask",
        "file": "workloads.masks.file:FileMask",
    },
    MaskProducer,
)
