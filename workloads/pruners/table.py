"""The models of a threshold by name, those that ship and those of installed packages."""

from __future__ import annotations

from workloads.plugins import ExtensionPoint
from workloads.pruners.threshold_model import ThresholdModel

THRESHOLD_MODELS = ExtensionPoint[ThresholdModel](
    "sparsetrain.threshold_models",
    "threshold model",
    {
        "normal": "workloads.pruners.normal:NormalModel",
        "quantile": "workloads.pruners.quantile:ExactQuantile",
        "lognormal": "workloads.pruners.lognormal:LognormalModel",
    },
    ThresholdModel,
)
NORMAL = "normal"
