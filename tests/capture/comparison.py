"""The same weights and images on the host, and what autograd hands to layers, found without the code under test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from workloads.host import parameter_shapes
from workloads.network import Network

NAMES = {"scale": "weight", "shift": "bias"}


def name_parameter(own: dict[str, Any], name: str) -> str:
    """Name the model's parameter that a network's is; an attention's module has those of its layers itself."""
    layer, _, kind = name.rpartition("/")
    base, _, place = layer.rpartition(".")
    within = {"linear": "in_proj_", "linear-2": "out_proj."}.get(place, "")
    if f"{base}.{within}{kind}" in own:
        return f"{base}.{within}{kind}"
    return f"{layer}.{NAMES.get(kind, kind)}"


def list_parameters(model: nn.Module, network: Network) -> dict[str, Any]:
    """Give the parameters of a model by the names of the network's."""
    own = dict(model.named_parameters())
    return {name: own[name_parameter(own, name)].detach().numpy() for name in parameter_shapes(network)}


def list_parameter_gradients(model: nn.Module, network: Network) -> dict[str, Any]:
    """Give the gradients of a model's parameters by the names of the network's."""
    own = dict(model.named_parameters())
    return {name: own[name_parameter(own, name)].grad.numpy() for name in parameter_shapes(network)}


class LayerWatch:
    """Keeps inputs and gradients to outputs of a model's convolutions and fully connected layers."""

    def __init__(self, model: nn.Module) -> None:
        self.inputs: dict[str, Any] = {}
        self.gradients: dict[str, Any] = {}
        self._handles = [
            module.register_forward_hook(self._make_hook(name))
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
        ]

    def _make_hook(self, name: str) -> Any:
        def keep(_: Any, inputs: Any, output: torch.Tensor) -> None:
            self.inputs[name] = inputs[0].detach().clone().numpy()
            output.register_hook(lambda gradient: self.gradients.__setitem__(name, gradient.detach().clone().numpy()))

        return keep

    def leave(self) -> None:
        for handle in self._handles:
            handle.remove()


def as_float32(values: Any) -> Any:
    """Round to float32, as recordings are."""
    return np.asarray(values, dtype=np.float32)
