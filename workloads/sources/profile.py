"""Operands with the densities of a profile: random tensors, layer by layer as sparse as a table says."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from workloads.errors import InputError
from workloads.layer_images import LayerImages
from workloads.profile import check_profile, find_profile, profile_names, read_profile
from workloads.profile_table import list_endings
from workloads.profile_tensors import ProfiledNetwork
from workloads.pruners.table import NORMAL
from workloads.pruning_sites import find_pruning_sites
from workloads.settings import Clustering, GradientPruning, PlainText, Pruning, Rate, Seed, WorkloadName
from workloads.sources.source import OperandRequest, OperandSource, OperandStream
from workloads.user_file import resolve_path

CHOSEN_COLUMN = "last"
EpochNumber = Annotated[int, Field(ge=0, le=2**31)]
NamedEpoch = Literal["first", "last", "mean"]


class ProfileOperands(OperandSource):
    """Random tensors with the densities of a table, layer by layer.

    Attributes:
        name: A shipped profile.
        path: A CSV file, relative to the YAML file.
        column: Which of the table's figures, such as last for `zeros_last`; needed where there are several.
        rate: Of the pruning that the table's gradients were measured behind; it is the workload's rate of pruning, too.
            By default that is the rate, and 0 without pruning.
        epoch: Of a table with several: a number, `first`, `last` (the default) or `mean`.
        clustering: Where absent, zeros are independent.
    """

    prunes_gradients: ClassVar[bool] = True
    masks_weights: ClassVar[bool] = True
    follows_training: ClassVar[bool] = True
    makes_images: ClassVar[bool] = True
    offers_choice: ClassVar[bool] = True

    source: Literal["profile"]
    name: WorkloadName | None = None
    path: PlainText | None = None
    column: WorkloadName | None = None
    rate: Rate | None = None
    epoch: NamedEpoch | EpochNumber | None = None
    seed: Seed
    clustering: Clustering | None = None

    @model_validator(mode="after")
    def _need_one_table(self) -> ProfileOperands:
        if (self.name is None) == (self.path is None):
            raise ValueError("source profile needs either name (a shipped profile) or path (a CSV file)")
        return self

    @classmethod
    def choose(cls, workload: str, label: str, seed: int) -> Self:
        """Give the profile that ships for the workload, with clustered zeros."""
        # Of a preset without a figure of ImageNet's the one that was measured on CIFAR-10 ships.
        names = [name for name in (workload, f"{workload}10", f"{workload}_cifar10") if name in profile_names()]
        if not names:
            raise InputError(
                f"{label}: no profile is shipped for '{workload}' (the profiles are "
                f"{', '.join(profile_names())}); operands: {{source: profile, path: FILE.csv, seed: 1}} names your own"
            )
        column = CHOSEN_COLUMN if CHOSEN_COLUMN in list_endings(find_profile(names[0])) else None
        return cls(source="profile", name=names[0], column=column, seed=seed, clustering=Clustering())

    def open(self, request: OperandRequest) -> OperandStream:
        """Read the profile; each layer's tensors are made when they are asked for."""
        return request.mask_stream(profile_operands(request, self))

    def check(self, request: OperandRequest) -> None:
        """Read the profile and find a density for every tensor."""
        self.fill(request).describe()

    def fill(self, request: OperandRequest) -> ProfiledNetwork:
        """Read the profile and spread it over the network.

        Raises:
            InputError: it is missing, damaged, or has a row that fits no layer, or the workload prunes otherwise than
                normal numbers are pruned.
        """
        rate = find_rate(request.pruning, request.label)
        profile = read_profile(self.profile_path(request.base_directory), self.column, rate=rate, epoch=self.epoch)
        if self.rate is not None and not profile.has_rates:
            raise InputError(
                f"{profile.label}: has no column 'rate', so that operands.rate {self.rate:g} cannot be chosen; "
                "pruning: {rate: ...} prunes its gradients as normal numbers are"
            )
        check_profile(profile, request.network)
        return ProfiledNetwork(request.network, profile, self.seed, self.clustering, rate)

    def profile_path(self, base_directory: Path) -> Path:
        """Return the file of the profile, shipped or relative to the YAML file's directory.

        Raises:
            InputError: no profile of this name is shipped.
        """
        return base_directory / self.path if self.path is not None else find_profile(str(self.name))

    @property
    def stated_rate(self) -> float | None:
        """The rate of the table's gradients, where it is named."""
        return self.rate

    def with_stated_rate(self, rate: float) -> Self:
        """Give the source of the same table's gradients at another rate."""
        return self if self.rate is None else self.model_copy(update={"rate": rate})

    def with_absolute_paths(self, base_directory: Path) -> Self:
        """Give the source with the absolute path of a table of the user's own."""
        if self.path is None:
            return self
        return self.model_copy(update={"path": str(resolve_path(self.profile_path(base_directory)))})


def find_rate(pruning: Pruning | None, label: str) -> float:
    """Give the rate at which the gradients of a profile, normal numbers, are pruned; 0 where they are not.

    Raises:
        InputError: the pruning is for GTA alone, not stochastic, or by another threshold model than the normal one.
    """
    if pruning is None:
        return 0.0
    if pruning.feeds != "both":
        raise InputError(
            f"{label}: pruning.for must be 'both' for operands of a profile, which states one density of each "
            f"gradient, got '{pruning.feeds}'; source host has both gradients"
        )
    if not isinstance(pruning, GradientPruning):
        raise InputError(
            f"{label}: pruning.method must be 'stochastic' for operands of a profile, which are drawn as densities "
            f"say, got '{pruning.method}'; source host has gradients whose neighbours can be compared"
        )
    if pruning.model != NORMAL:
        raise InputError(
            f"{label}: pruning.model must be '{NORMAL}' for operands of a profile, whose gradients are normal numbers "
            f"of a known deviation, got '{pruning.model}'; source host has gradients that models are fitted to"
        )
    return pruning.rate


def profile_operands(request: OperandRequest, source: ProfileOperands) -> OperandStream:
    """Prepare synthetic tensors with the densities of a profile; each layer's are made when it is asked for."""
    network = request.network
    path = source.profile_path(request.base_directory)
    profiled = source.fill(request)
    profile, rate = profiled.profile, profiled.pruning_rate
    facts: dict[str, Any] = {"profile": path.name, "column": profile.choice, "densities": profiled.describe()}
    if rate:
        facts["pruning"] = {"rate": rate}
    zeros = "independent" if source.clustering is None else "clustered"
    how = "as they were measured" if profile.has_rates else "as normal numbers are"
    pruned = f"gradients pruned at {rate:.4g} {how}" if rate else "gradients not pruned"
    headline = (
        f"synthetic tensors with the densities of the profile {path.name} ({profile.choice}), {zeros} zeros, "
        f"{pruned}, seed {source.seed}"
    )
    nodes = frozenset(find_pruning_sites(network)) if rate else frozenset()
    images = tuple(
        LayerImages(
            node.name, network.layer_shape(node.name), profiled.steps(node.name),
            partial(profiled.layer, node.name),
        )
        for node in network.compute_nodes()
    )  # fmt: skip
    return OperandStream(profiled.operands(), headline, source.seed, facts, nodes, images)
