"""The YAML form of a workload: a network, and where its operands come from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializeAsAny

from workloads.blocks import Block, add_block_forms
from workloads.layers import Layer, LayerName, PositiveInt, StrictModel
from workloads.settings import GradientPruning, InputSize, WorkloadName
from workloads.sources.host import HostOperands
from workloads.sources.profile import ProfileOperands
from workloads.sources.recorded import RecordedOperands
from workloads.sources.synthetic import SyntheticOperands

ShippedSource = SerializeAsAny[
    Annotated[RecordedOperands | SyntheticOperands | HostOperands | ProfileOperands, Field(discriminator="source")]
]


class WorkloadForm(StrictModel):
    """A network, the size of its input and its batch, and the source of its operands."""

    name: WorkloadName
    description: str = ""
    batch: PositiveInt = 1
    input: InputSize
    blocks: dict[LayerName, Block] = Field(default_factory=dict)
    layers: Annotated[list[Layer], Field(min_length=1)]
    operands: ShippedSource | None = None
    pruning: GradientPruning | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a workload's YAML form."""
    form = add_block_forms(WorkloadForm.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **form}
