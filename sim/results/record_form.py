"""The form of ``run.json``: every field that is read back, with what it may hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from sim.architecture import Architecture
from sim.pinned_tiling import PinnedTiling
from workloads.layers import StrictModel
from workloads.open_form import AnyWorkloadForm
from workloads.shapes import Step

Line = Annotated[str, StringConstraints(min_length=1, max_length=2**14, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
Figure = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Scope = Literal["convolutions", "network"]
TotalScope = Literal["convolutions", "network", "network_with_update"]


class OpenModel(BaseModel):
    """A record with fields that reports do not read, which are let be; those that are declared are strict."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class Pruned(OpenModel):
    """How gradients were pruned, as far as reports tell it."""

    method: Line = "stochastic"
    rate: Fraction | None = None
    model: Line = "normal"
    n: Count | None = None
    m: Count | None = None
    feeds: Line = Field(default="both", alias="for")


class PolicyForm(StrictModel):
    """What a machine made use of, and the source of its operands."""

    policy: Line
    meaning: Line
    operand_source: Line
    pruning: Pruned | None


class UnitForm(StrictModel):
    """Area and leakage of a component's units."""

    component: Line
    units: Count
    unit_area_mm2: Figure
    area_mm2: Figure
    area_source: Line
    unit_leakage_mw: Figure
    leakage_mw: Figure
    leakage_source: Line


class EnergyForm(StrictModel):
    """How often an action was done, its price and its energy."""

    component: Line
    action: Line
    count: Count
    pj_per_action: Figure
    pj: Figure
    source: Line


class EndsForm(StrictModel):
    """The price of an action with an assumption at either end of its range."""

    action: Line
    low_pj: Figure
    high_pj: Figure


class AssumptionForm(StrictModel):
    """An assumption that moves a machine's prices, and what the ends of its range add to the machine's energies."""

    entry: Line
    low: Annotated[float, Field(gt=0, le=1)]
    high: Annotated[float, Field(ge=1, le=1000)]
    why: Line
    prices: list[EndsForm]
    swings: dict[Scope, Annotated[list[float], Field(min_length=2, max_length=2)]]


class IntervalsForm(StrictModel):
    """Intervals that follow from assumptions; what they are follows from swings, with which they are compared."""

    machines: dict[Line, dict[Scope, Any]]
    ratios: dict[Line, dict[Scope, Any]]


class MachineForm(StrictModel):
    """A machine's prices, and what they add up to."""

    technology: Line
    area_mm2: Figure
    leakage_mw: Figure
    units: list[UnitForm]
    energy: list[EnergyForm]
    assumptions: list[AssumptionForm]
    warnings: list[Line]


class WidthsForm(StrictModel):
    """Half widths of a machine's intervals."""

    cycles_ci95: Figure
    energy_ci95_pj: Figure | None


class RatioWidthsForm(StrictModel):
    """Half widths of the intervals of ratios."""

    speedup_ci95: Figure | None
    energy_ratio_ci95: Figure | None


class SampledMachineForm(StrictModel):
    """What was simulated of a machine."""

    sampled_fraction: Fraction
    convolutions: WidthsForm
    network: WidthsForm


class SamplingForm(StrictModel):
    """What was sampled."""

    asked: Fraction | Line
    seed: Seed
    confidence: Fraction
    machines: dict[Line, SampledMachineForm]
    ratios: dict[Line, dict[Scope, RatioWidthsForm]]


class MemoryForm(StrictModel):
    """The memory of an iteration: activations and their gradients at most, those of the batch at once, parameters."""

    activation_bytes: Count
    whole_activation_bytes: Count
    parameter_bytes: Count


class TotalsForm(StrictModel):
    """Totals and ratios; what they are follows from the rows, with which they are compared."""

    machines: dict[Line, dict[TotalScope, dict[str, Any]]]
    ratios: dict[Line, dict[TotalScope, dict[str, Any]]]


class OptionsForm(StrictModel):
    """How a run was made, besides its inputs."""

    engine: Literal["compiled", "simpy"]
    sample: Literal["auto"] | Fraction | None
    verify: bool
    tilings: list[PinnedTiling] = Field(default_factory=list)


class WrittenFileForm(StrictModel):
    """A file that a run wrote beside its record."""

    bytes: Count
    sha256: Sha256


class RecordForm(OpenModel):
    """``run.json``."""

    schema_version: Count
    version: Line
    workload: AnyWorkloadForm
    architecture: Architecture
    baseline: Architecture | None
    further_baselines: list[Architecture]
    steps: Annotated[list[Step], Field(min_length=1)]
    layers: Line
    seed: Seed | None
    operand_source: Line
    operand_facts: dict[str, Any]
    policies: dict[Line, PolicyForm]
    totals: TotalsForm
    machines: dict[Line, MachineForm | None]
    energy_intervals: IntervalsForm
    dram: dict[Line, dict[str, Any]] = Field(default_factory=dict)
    verdict: Literal["verified", "failed", "not verified"]
    failures: list[Line]
    sampling: SamplingForm | None
    memory: dict[Line, MemoryForm | None]
    options: OptionsForm
    notices: list[Line]
    dead_layers: list[Line]
    files: Annotated[dict[Line, WrittenFileForm], Field(min_length=1)]
    record_sha256: Sha256

    def contenders(self) -> list[Architecture]:
        """List the machines, the simulated one first."""
        return [self.architecture, *([self.baseline] if self.baseline else []), *self.further_baselines]
