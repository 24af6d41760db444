"""How a machine stores numbers and rows: a section of the architecture."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from workloads.layers import StrictModel
from workloads.value_formats import ValueFormat

STORED_BITS, FLOAT32_BITS = 16, 32
# At least an operand's bits; at most what leaves a float64 room for sums of any layer.
INTEGER_SUM_BITS = (16, 48)


def require_power(number: int) -> int:
    """Refuse a number that is no power of two."""
    if number & (number - 1):
        raise ValueError(f"must be a power of two, got {number}")
    return number


LossScale = Annotated[int, Field(ge=1, le=2**24), AfterValidator(require_power)]


class NumberFormat(StrEnum):
    """The arithmetic that energy is counted for."""

    FP16 = "fp16"
    INT16 = "int16"


class SparseFormat(StrEnum):
    """How sparse tensors are stored; `auto` takes the smallest for each tensor."""

    AUTO = "auto"
    RAW = "raw"
    OFFSET = "offset"
    BITMASK = "bitmask"


class StorageSection(StrictModel):
    """How numbers and rows are stored."""

    data_bits: Annotated[int, Field(ge=1, le=64)] = 16
    acc_bits: Annotated[int, Field(ge=1, le=128)] = 32
    sparse_format: SparseFormat = SparseFormat.AUTO
    number_format: NumberFormat = NumberFormat.FP16
    values: ValueFormat = ValueFormat.FLOAT32
    loss_scale: LossScale = 1

    @model_validator(mode="after")
    def _require_one_arithmetic(self) -> StorageSection:
        words = describe_contradiction(self)
        if words:
            raise ValueError(words)
        return self


def describe_contradiction(storage: StorageSection) -> str | None:
    """Say what of a storage section does not go with the format of its values; None where all does."""
    values = storage.values
    if values is ValueFormat.FLOAT32:
        if storage.loss_scale != 1:
            return f"loss_scale is {storage.loss_scale}, but values float32 are not rounded; it goes with fp16 and bf16"
        return None
    needed = NumberFormat.INT16 if values is ValueFormat.INT16 else NumberFormat.FP16
    if storage.number_format is not needed:
        return f"values {values} go with number_format {needed}, got {storage.number_format}"
    if storage.data_bits != STORED_BITS:
        return f"values {values} take {STORED_BITS} bits, but data_bits is {storage.data_bits}"
    if values is not ValueFormat.INT16 and storage.acc_bits != FLOAT32_BITS:
        return f"values {values} are summed in float32, but acc_bits is {storage.acc_bits}, not {FLOAT32_BITS}"
    least, most = INTEGER_SUM_BITS
    if not least <= storage.acc_bits <= most:
        return f"values {values} are summed in {least} to {most} bits, but acc_bits is {storage.acc_bits}"
    if values is ValueFormat.INT16 and storage.loss_scale != 1:
        return f"loss_scale is {storage.loss_scale}, but values int16 have a scale for each tensor"
    return None
