"""The YAML form of a workload: a network, and where its operands come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from workloads.blocks import Block, add_block_forms
from workloads.layers import Layer, LayerName, PositiveInt, StrictModel
from workloads.settings import (
    Clustering,
    Density,
    GradientPruning,
    ImagePipeline,
    InputSize,
    PlainText,
    Seed,
    WorkloadName,
)


class RecordedOperands(StrictModel):
    """Tensors from an .npz file; the path is relative to the YAML file.

    first_layer_gta: whether the layers that read images have a gta, whose result nobody needs in training.
    """

    source: Literal["recorded"]
    path: PlainText
    first_layer_gta: bool = True


class SyntheticOperands(StrictModel):
    """Random tensors: normal values, or with `integers` the small integers -4..4."""

    source: Literal["synthetic"]
    seed: Seed
    density: Density = Density()
    integers: bool = False


class HostOperands(StrictModel):
    """Tensors of one training iteration that the host runs on images of a dataset.

    dataset: a shipped name, a path, or KIND:PATH, as `workloads.datasets.load_dataset` takes it. weights: an .npz file
    of initial parameters; without it they are drawn. Paths are relative to the YAML file.
    """

    source: Literal["host"]
    dataset: PlainText
    seed: Seed
    images: ImagePipeline = ImagePipeline()
    weights: PlainText | None = None
    dtype: Literal["float32", "float64"] = "float32"


class ProfileOperands(StrictModel):
    """Random tensors with the densities of a table, layer by layer.

    name: a shipped profile; path: a CSV file, relative to the YAML file. column: which of the table's figures, such as
    last for `zeros_last`; needed where there are several. clustering: where absent, zeros are independent.
    """

    source: Literal["profile"]
    name: WorkloadName | None = None
    path: PlainText | None = None
    column: WorkloadName | None = None
    seed: Seed
    clustering: Clustering | None = None

    @model_validator(mode="after")
    def _need_one_table(self) -> ProfileOperands:
        if (self.name is None) == (self.path is None):
            raise ValueError("source profile needs either name (a shipped profile) or path (a CSV file)")
        return self


OperandSource = Annotated[
    RecordedOperands | SyntheticOperands | HostOperands | ProfileOperands, Field(discriminator="source")
]


class WorkloadForm(StrictModel):
    """A network, the size of its input and its batch, and the source of its operands."""

    name: WorkloadName
    description: str = ""
    batch: PositiveInt = 1
    input: InputSize
    blocks: dict[LayerName, Block] = Field(default_factory=dict)
    layers: Annotated[list[Layer], Field(min_length=1)]
    operands: OperandSource | None = None
    pruning: GradientPruning | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a workload's YAML form."""
    form = add_block_forms(WorkloadForm.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **form}
