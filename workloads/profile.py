"""Profiles: tables of measured densities, layer by layer.

A profile is a CSV file with the columns `layer`, `tensor` and one figure a row: `density`, the share of nonzeros, or
`zeros`, the share of zeros. Several figures have an ending each, such as `zeros_first` and `zeros_last`. The columns
`rate`, at which gradients were pruned as it was measured, and `epoch` may stand beside them, and each tensor then has a
row for each rate and epoch. Lines that begin with # are comments. `tensor` is `output` of any layer, or `input`,
`grad_output` or `weight` of a convolution or a fully connected layer, or `grad_output` of another layer whose gradient
is pruned. Measured gradients stand in the table as pruning left them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workloads.errors import InputError
from workloads.network import Network
from workloads.profile_table import Epoch, read_table
from workloads.pruning_sites import find_pruning_sites
from workloads.suggestions import did_you_mean

PROFILE_DIRECTORY = Path(__file__).parent / "profiles"
COMPUTE_TENSORS = ("input", "grad_output", "weight")


@dataclass(frozen=True)
class Profile:
    """Densities by (layer, tensor), and the lines they stand in.

    Attributes:
        label: The file, as messages name it.
        column: That of the figures.
        densities: At one rate and of one epoch, where the table has several.
        choice: Column, rate and epoch in words, of figures that were chosen from a table.
        has_rates: Whether they were measured at a rate that the table tells.
    """

    label: str
    column: str
    densities: Mapping[tuple[str, str], float]
    lines: Mapping[tuple[str, str], int]
    choice: str = ""
    has_rates: bool = False

    def density(self, layer: str, tensor: str) -> float | None:
        """Give a tensor's share of nonzeros, or None where the table has no row for it."""
        return self.densities.get((layer, tensor))


def profile_names() -> tuple[str, ...]:
    """Return the names of the shipped profiles, sorted."""
    return tuple(sorted(path.stem for path in PROFILE_DIRECTORY.glob("*.csv")))


def find_profile(name: str) -> Path:
    """Return the file of a shipped profile.

    Raises:
        InputError: there is none of this name.
    """
    names = profile_names()
    if name not in names:
        raise InputError(
            f"there is no profile '{name}'{did_you_mean(name, names)} (the profiles are {', '.join(names)}; "
            "operands: {source: profile, path: FILE.csv} takes one of your own)"
        )
    return PROFILE_DIRECTORY / f"{name}.csv"


def read_profile(path: Path, column: str | None = None, *, rate: float = 0.0, epoch: Epoch | None = None) -> Profile:
    """Read a profile's figures from one column, at one rate of pruning and of one epoch where it has several.

    Args:
        column: The column's ending, where there are several figures.
        epoch: By default the last one.

    Raises:
        InputError: the file cannot be read, a column or a figure is missing, a row stands twice, or the table has not
            the rate or the epoch.
    """
    table = read_table(path, column)
    rows, choice = table.choose(rate, epoch)
    return Profile(
        table.label,
        table.column,
        {(row.layer, row.tensor): row.density for row in rows},
        {(row.layer, row.tensor): row.line for row in rows},
        choice,
        table.has_rates,
    )


def check_profile(profile: Profile, network: Network) -> None:
    """Refuse a profile with a row that stands for no tensor of the network.

    Raises:
        InputError: names the row's line, and what is allowed.
    """
    sites = find_pruning_sites(network)
    allowed: dict[str, tuple[str, ...]] = {}
    for node in network.nodes:
        if node.layer.traits.is_computed:
            allowed[node.name] = ("output", *COMPUTE_TENSORS)
        elif not node.layer.traits.is_loss:
            allowed[node.name] = ("output", "grad_output") if node.name in sites else ("output",)
    for (layer, tensor), line in profile.lines.items():
        place = f"{profile.label}, line {line}"
        if layer not in allowed:
            raise InputError(f"{place}: network '{network.name}' has no layer '{layer}'{did_you_mean(layer, allowed)}")
        if tensor not in allowed[layer]:
            raise InputError(
                f"{place}: tensor must be {' or '.join(allowed[layer])} of the {network.node(layer).layer.type} "
                f"layer '{layer}', got '{tensor}'"
            )
