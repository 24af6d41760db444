"""The YAML form of a workload: a network, and where its operands come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from workloads.layers import Layer, PositiveInt, StrictModel

WorkloadName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]*$", max_length=128)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
PlainText = Annotated[str, StringConstraints(min_length=1)]
ImageSize = Annotated[int, Field(ge=1, le=2**16)]
ImagePadding = Annotated[int, Field(ge=0, le=2**12)]
PositiveFloat = Annotated[float, Field(gt=0.0)]


class InputSize(StrictModel):
    """The network's input: what one image of the batch is."""

    channels: PositiveInt
    height: PositiveInt
    width: PositiveInt


class RecordedOperands(StrictModel):
    """Tensors from an .npz file; the path is relative to the YAML file."""

    source: Literal["recorded"]
    path: PlainText


class Density(StrictModel):
    """The probability with which an element of each tensor is nonzero."""

    input: Fraction = 1.0
    grad_output: Fraction = 1.0
    weight: Fraction = 1.0


class SyntheticOperands(StrictModel):
    """Random tensors: normal values, or with `integers` the small integers -4..4."""

    source: Literal["synthetic"]
    seed: Seed
    density: Density = Density()
    integers: bool = False


class ImagePipeline(StrictModel):
    """How images become the network's input, as keyword arguments of `workloads.images.prepare_images`.

    In this order: resized to [height, width] or to a square; padded with zeros; one channel repeated to 3 or 3 averaged
    to one; less the mean, divided by the standard deviation, each one number or one for each channel.
    """

    resize: ImageSize | Annotated[list[ImageSize], Field(min_length=2, max_length=2)] | None = None
    padding: ImagePadding | Annotated[list[ImagePadding], Field(min_length=2, max_length=2)] = 0
    channels: Literal[1, 3] | None = None
    mean: float | Annotated[list[float], Field(min_length=1)] | None = None
    std: PositiveFloat | Annotated[list[PositiveFloat], Field(min_length=1)] | None = None


class HostOperands(StrictModel):
    """Tensors of one training iteration that the host runs on images of a dataset."""

    source: Literal["host"]
    dataset: PlainText
    seed: Seed
    images: ImagePipeline = ImagePipeline()
    dtype: Literal["float32", "float64"] = "float32"


OperandSource = Annotated[RecordedOperands | SyntheticOperands | HostOperands, Field(discriminator="source")]


class WorkloadForm(StrictModel):
    """A network, the size of its input and its batch, and the source of its operands."""

    name: WorkloadName
    description: str = ""
    batch: PositiveInt = 1
    input: InputSize
    layers: Annotated[list[Layer], Field(min_length=1)]
    operands: OperandSource | None = None


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a workload's YAML form."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **WorkloadForm.model_json_schema()}
