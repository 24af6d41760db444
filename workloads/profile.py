"""Profiles: tables of measured densities, layer by layer.

A profile is a CSV file with the columns `layer`, `tensor` and one figure a row: `density`, the share of nonzeros, or
`zeros`, the share of zeros. Several figures have an ending each, such as `zeros_first` and `zeros_last`. Lines that
begin with # are comments. `tensor` is `output` of any layer, or `input`, `grad_output` or `weight` of a convolution or
a fully connected layer.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.errors import InputError
from workloads.network import Network
from workloads.suggestions import did_you_mean
from workloads.user_file import FileForm, read_file
from workloads.words import list_words

PROFILE_DIRECTORY = Path(__file__).parent / "profiles"
FORM = FileForm("a CSV file", limit_bytes=2**22, is_text=True)
FIGURES = ("density", "zeros")
KEYS = ("layer", "tensor")
COMPUTE_TENSORS = ("input", "grad_output", "weight")


@dataclass(frozen=True)
class Profile:
    """Densities by (layer, tensor), and the lines they stand in.

    Attributes:
        label: The file, as messages name it.
    """

    label: str
    column: str
    densities: Mapping[tuple[str, str], float]
    lines: Mapping[tuple[str, str], int]

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


def read_profile(path: Path, column: str | None = None) -> Profile:
    """Read a profile's figures from one column; `column` is its ending where there are several.

    Raises:
        InputError: the file cannot be read, a column or a figure is missing, or a row stands twice.
    """
    rows = _read_rows(path)
    if not rows:
        raise InputError(f"{path}: is empty; a line with the columns layer, tensor and density or zeros is needed")
    (header_line, header), *body = rows
    chosen = _choose_column(path, header_line, header, column)
    densities: dict[tuple[str, str], float] = {}
    lines: dict[tuple[str, str], int] = {}
    for line, cells in body:
        if len(cells) != len(header):
            raise InputError(f"{path}, line {line}: has {len(cells)} cells, the header {len(header)}")
        row = dict(zip(header, cells, strict=True))
        key = (row["layer"], row["tensor"])
        if key in densities:
            raise InputError(f"{path}, line {line}: '{key[0]}' {key[1]} stands in line {lines[key]} already")
        share = _read_share(path, line, chosen, row[chosen])
        densities[key] = 1 - share if chosen.startswith("zeros") else share
        lines[key] = line
    return Profile(str(path), chosen, densities, lines)


def check_profile(profile: Profile, network: Network) -> None:
    """Refuse a profile with a row that stands for no tensor of the network.

    Raises:
        InputError: names the row's line, and what is allowed.
    """
    allowed = {
        node.name: ("output", *COMPUTE_TENSORS) if node.layer.traits.is_computed else ("output",)
        for node in network.nodes
        if not node.layer.traits.is_loss
    }
    for (layer, tensor), line in profile.lines.items():
        place = f"{profile.label}, line {line}"
        if layer not in allowed:
            raise InputError(f"{place}: network '{network.name}' has no layer '{layer}'{did_you_mean(layer, allowed)}")
        if tensor not in allowed[layer]:
            raise InputError(
                f"{place}: tensor must be {' or '.join(allowed[layer])} of the {network.node(layer).layer.type} "
                f"layer '{layer}', got '{tensor}'"
            )


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = read_file(path, FORM).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: cannot be read as a CSV file of UTF-8 text") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)]
    kept = [(number, line) for number, line in lines if line.strip() and not line.startswith("#")]
    try:
        return [(number, [cell.strip() for cell in next(csv.reader([line], strict=True))]) for number, line in kept]
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file: {error}") from None


def _choose_column(path: Path, line: int, header: Sequence[str], column: str | None) -> str:
    place = f"{path}, line {line}"
    for key in KEYS:
        if key not in header:
            raise InputError(f"{place}: the column '{key}' is missing; the columns are {list_words(header)}")
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputError(f"{place}: the column '{twice[0]}' stands twice")
    figures = [name for name in header if name.partition("_")[0] in FIGURES]
    endings = sorted({ending for name in figures if (ending := name.partition("_")[2])})
    chosen = figures if column is None else [name for name in figures if name.partition("_")[2] == column]
    if len(chosen) == 1:
        return chosen[0]
    if not figures:
        raise InputError(f"{place}: a column 'density' or 'zeros' is missing; the columns are {list_words(header)}")
    asked = "none is chosen" if column is None else f"column '{column}' fits {' and '.join(chosen) or 'none'}"
    raise InputError(
        f"{place}: {asked} of the figures {list_words(figures)}; "
        f"`column` must be one of {list_words(endings) or 'none'}"
    )


def _read_share(path: Path, line: int, column: str, cell: str) -> float:
    try:
        share = float(cell)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InputError(f"{path}, line {line}: {column} must be a number from 0 to 1, got '{cell}'")
    return share
