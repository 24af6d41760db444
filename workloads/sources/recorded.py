"""Operands from a file of recorded tensors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from workloads.errors import InputError
from workloads.layers import LayerName, StrictModel
from workloads.network import Network
from workloads.pruning import PruningKey
from workloads.pruning_sites import find_pruning_sites
from workloads.recorded import LayerPruning, Recording, list_recorded_steps, open_recording
from workloads.settings import PlainText, Seed, WorkloadName
from workloads.shapes import Step
from workloads.sources.source import OperandRequest, OperandSource, OperandStream
from workloads.suggestions import did_you_mean
from workloads.user_file import resolve_path
from workloads.words import list_words


class RecordedPruning(StrictModel):
    """How gradients were pruned in the training that was recorded, so that the PPU prunes them alike.

    Attributes:
        seed: With the layer's name the key of the draws.
        iteration: With the layer's name the key of the draws.
        thresholds: Of each pruned gradient, by the layer to whose output it is; 0 prunes nothing, as before a FIFO is
            full.
        rate: What they were chosen for.
        model: What chose them, where it was not the normal model; it need not be registered here.
    """

    seed: Seed
    iteration: Annotated[int, Field(ge=0, le=2**63 - 1)]
    thresholds: dict[LayerName, Annotated[float, Field(ge=0.0)]]
    rate: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    model: WorkloadName | None = None

    def plan(self, network: Network, label: str) -> dict[str, tuple[LayerPruning, ...]]:
        """Give what the PPU of each layer prunes with; gradients that passes write are pruned there.

        Raises:
            InputError: a threshold is of a gradient that is not pruned.
        """
        sites = find_pruning_sites(network)
        for name in self.thresholds:
            if name not in sites:
                near = did_you_mean(name, sites) or f" (they are {list_words(sites)})"
                raise InputError(
                    f"{label}: operands.pruning.thresholds names '{name}', the gradient to whose output is not "
                    f"pruned{near}"
                )
        plan: dict[str, tuple[LayerPruning, ...]] = {}
        for name, tau in self.thresholds.items():
            writer = sites[name].writer
            if writer != name:
                pruning = LayerPruning(tau, PruningKey(self.seed, name, self.iteration))
                plan[writer] = (*plan.get(writer, ()), pruning)
        return plan


class RecordedOperands(OperandSource):
    """Tensors from an .npz file; the path is relative to the YAML file.

    Attributes:
        first_layer_gta: Whether the layers that read images have a gta, whose result nobody needs in training.
        without_gta: Other layers that have no gta, as the first one of a model in a list of its layers.
        without_gtw: Layers that have no gtw, as those whose weights are frozen.
        pruning: How the recorded gradients were pruned.
    """

    source: Literal["recorded"]
    path: PlainText
    first_layer_gta: bool = True
    without_gta: list[LayerName] = Field(default_factory=list)
    without_gtw: list[LayerName] = Field(default_factory=list)
    pruning: RecordedPruning | None = None

    def open(self, request: OperandRequest) -> OperandStream:
        """Read the file, layer by layer."""
        recording = self.open_file(request)
        headline = f"recorded tensors of {self.path}"
        if self.pruning is None:
            return OperandStream(iter(recording), headline, None, {})
        facts: dict[str, Any] = {"pruning": self.pruning.model_dump(mode="json", exclude_none=True)}
        pruned = frozenset(name for name, tau in self.pruning.thresholds.items() if tau)
        return OperandStream(iter(recording), f"{headline}, gradients pruned as recorded", None, facts, pruned)

    def list_steps(self, network: Network, layer: str) -> tuple[Step, ...]:
        """List the steps that were recorded of a layer."""
        return list_recorded_steps(
            network, layer, first_layer_gta=self.first_layer_gta, without_gta=self.without_gta,
            without_gtw=self.without_gtw,
        )  # fmt: skip

    def check(self, request: OperandRequest) -> None:
        """Read all tensors."""
        for _ in self.open_file(request):
            pass

    def open_file(self, request: OperandRequest) -> Recording:
        """Compare the file, and the thresholds, with the network.

        Raises:
            InputError: they do not fit.
        """
        recording = open_recording(self.recorded_path(request.base_directory), request.network)
        computed = [node.name for node in request.network.compute_nodes()]
        for field in ("without_gta", "without_gtw"):
            for name in getattr(self, field):
                if name not in computed:
                    near = did_you_mean(name, computed) or f" (they are {list_words(computed)})"
                    raise InputError(f"{request.label}: operands.{field} names '{name}', which has no steps{near}")
        return dataclasses.replace(
            recording,
            first_layer_gta=self.first_layer_gta,
            prunings={} if self.pruning is None else self.pruning.plan(request.network, request.label),
            without_gta=frozenset(self.without_gta),
            without_gtw=frozenset(self.without_gtw),
        )

    def recorded_path(self, base_directory: Path) -> Path:
        """Return the file of recorded operands."""
        return base_directory / self.path

    def with_absolute_paths(self, base_directory: Path) -> Self:
        """Give the source with the file's absolute path."""
        return self.model_copy(update={"path": str(resolve_path(self.recorded_path(base_directory)))})

    @property
    def needless_gta_remedy(self) -> str:
        """How the file leaves out each GTA that nobody needs in training."""
        return "operands: {source: recorded, first_layer_gta: false}"
