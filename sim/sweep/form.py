"""The YAML form of a sweep: workloads, a base architecture, parameters, and how their values combine."""

from __future__ import annotations

from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sim.sweep.metrics import OBJECTIVES
from workloads.document import FieldPath, YamlDocument
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.settings import Fraction, PlainText, PositiveFloat, Seed, WorkloadName
from workloads.shapes import Step
from workloads.validation import did_you_mean, validate_document
from workloads.words import list_words
from workloads.yaml_file import load_yaml, parse_yaml

SampleFraction = Annotated[float, Field(gt=0.0, le=1.0)]
PointCount = Annotated[int, Field(ge=1, le=2**63 - 1)]
Population = Annotated[int, Field(ge=2, le=10_000)]
LARGEST_MEMORY_MB = 2**24
Megabytes = Annotated[int, Field(ge=1, le=LARGEST_MEMORY_MB)]
NO_BASELINE = "none"


class Combination(StrEnum):
    """How the values of the parameters become points."""

    GRID = "grid"
    ZIP = "zip"
    LIST = "list"
    RANDOM = "random"


class BudgetQuantity(StrEnum):
    """What a budget holds equal over all points."""

    MULTIPLIERS = "multipliers"
    AREA_MM2 = "area_mm2"


class Sampler(StrEnum):
    """Optuna's samplers that a search may use."""

    NSGA2 = "nsga2"
    TPE = "tpe"
    RANDOM = "random"


class Budget(StrictModel):
    """A quantity that every point has alike: `by` gets the largest whole number that stays within `value`.

    Attributes:
        value: None takes the base architecture's own.
        tolerance: Share of `value` that may be left unused, else the point is left out; by default 0 for multipliers
            and 0.02 for area.
    """

    equal: BudgetQuantity
    by: PlainText
    value: PositiveFloat | None = None
    tolerance: Fraction | None = None


class Search(StrictModel):
    """A search in place of running every point; trials counts distinct points (for each workload)."""

    sampler: Sampler
    trials: PointCount
    objectives: Annotated[list[PlainText], Field(min_length=1, max_length=8)]
    seed: Seed = 0
    population: Population | None = None

    @model_validator(mode="after")
    def _require_known_objectives(self) -> Search:
        for objective in self.objectives:
            if objective not in OBJECTIVES:
                raise ValueError(
                    f"unknown objective '{objective}'{did_you_mean(objective, OBJECTIVES)} "
                    f"(the objectives are {list_words(OBJECTIVES)})"
                )
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("an objective is given twice")
        return self


class Limits(StrictModel):
    """What one point may take; None is unlimited."""

    timeout_s: PositiveFloat | None = None
    memory_mb: Megabytes | None = None


class SweepForm(StrictModel):
    """A sweep file; `parameters` maps a dotted path to a list of values or to a range.

    Attributes:
        operands: In place of the workloads' own, as `workloads.operand_choice.choose_operands` takes them.
    """

    name: WorkloadName
    description: str = ""
    workloads: Annotated[list[PlainText], Field(min_length=1)]
    architecture: PlainText = "sparsetrain"
    operands: PlainText | None = None
    baseline: PlainText = NO_BASELINE
    steps: Annotated[list[Step], Field(min_length=1)] | None = None
    layers: PlainText = "*"
    sample: Literal["auto"] | SampleFraction | None = None
    combine: Combination = Combination.GRID
    parameters: dict[str, Any] = Field(default_factory=dict)
    points: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    samples: PointCount | None = None
    seed: Seed | None = None
    constraints: list[PlainText] = Field(default_factory=list)
    budgets: list[Budget] = Field(default_factory=list)
    search: Search | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _require_fields_of_the_combination(self) -> SweepForm:
        form = f"combine: {self.combine}"
        if self.search is not None and self.combine is not Combination.GRID:
            raise ValueError(f"search looks through the grid of the parameters; {form} cannot be given beside it")
        if (self.combine is Combination.LIST) != (self.points is not None):
            raise ValueError(f"{form} and points {'belong' if self.points else 'are needed'} together: "
                             "points is the list of the points of combine: list")  # fmt: skip
        if (self.combine is Combination.RANDOM) != (self.samples is not None):
            raise ValueError(f"{form} and samples: samples is the number of points of combine: random, and of no other")
        if self.seed is not None and self.combine is not Combination.RANDOM:
            raise ValueError("seed belongs to combine: random; a search has its own, search.seed")
        if (self.combine is Combination.LIST) == bool(self.parameters):
            raise ValueError("parameters is missing; it maps dotted paths to values, such as array.groups: [14, 28]"
                             if not self.parameters else "parameters and points cannot both be given")  # fmt: skip
        if len(set(self.workloads)) < len(self.workloads):
            raise ValueError("workloads names one twice")
        return self


def list_sweeps() -> dict[str, str]:
    """Name the sweeps that come with the package, with the first comment line of each file."""
    folder = files("sim") / "presets" / "sweeps"
    entries = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    return {
        entry.name.removesuffix(".yaml"): entry.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for entry in entries
    }


def read_sweep(name_or_path: str | Path) -> tuple[YamlDocument, Path]:
    """Read a sweep's document, from a file or the preset of this name, and the folder that its paths are relative to.

    Raises:
        InputError: there is no such file or preset, or it is not strict YAML.
    """
    name = str(name_or_path)
    if name in list_sweeps():
        entry = files("sim") / "presets" / "sweeps" / f"{name}.yaml"
        return parse_yaml(entry.read_text(encoding="utf-8"), f"preset {name}"), Path()
    path = Path(name_or_path)
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        raise InputError(
            f"'{name}' is neither a file nor a sweep{did_you_mean(name, list_sweeps())} "
            f"(the sweeps are {', '.join(list_sweeps())}; or give a YAML file)"
        )
    return load_yaml(path), path.parent


def validate_form(document: YamlDocument) -> SweepForm:
    """Validate a sweep's fields, without looking at what they name.

    Raises:
        InputError: a field is unknown, missing, or has a value that is not allowed.
    """
    return validate_document(document, SweepForm)


def cut_document(document: YamlDocument, path: FieldPath) -> YamlDocument:
    """Give the mapping at a path as a document of its own, whose errors still name the file's lines."""
    lines = {key[len(path) :]: line for key, line in document.lines.items() if key[: len(path)] == path}
    return YamlDocument(document.label, document.value(path), lines)
