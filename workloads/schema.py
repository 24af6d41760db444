"""The YAML form of a workload: a network, and where its operands come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SerializeAsAny, field_validator

from workloads.blocks import Block
from workloads.kinds import Layer
from workloads.layers import LayerName, NetworkInput, PositiveInt, StrictModel
from workloads.masks.block import BlockMask
from workloads.masks.channel import ChannelMask
from workloads.masks.file import FileMask
from workloads.masks.filter import FilterMask
from workloads.masks.kernel import KernelMask
from workloads.masks.kernel_row import KernelRowMask
from workloads.masks.magnitude import MagnitudeMask
from workloads.masks.n_m import NOfMMask
from workloads.masks.random_connect import RandomConnectMask
from workloads.masks.shape import ShapeMask
from workloads.rewrites.idle_dropout import RemoveIdleDropout
from workloads.settings import PlainText, Pruning, WorkloadName
from workloads.sources.host import HostOperands
from workloads.sources.profile import ProfileOperands
from workloads.sources.recorded import RecordedOperands
from workloads.sources.synthetic import SyntheticOperands
from workloads.training.form import TrainingForm
from workloads.updates import UpdateMethod

ShippedSource = SerializeAsAny[
    Annotated[RecordedOperands | SyntheticOperands | HostOperands | ProfileOperands, Field(discriminator="source")]
]
ShippedMask = SerializeAsAny[
    Annotated[
        MagnitudeMask
        | NOfMMask
        | BlockMask
        | FilterMask
        | ChannelMask
        | ShapeMask
        | KernelMask
        | KernelRowMask
        | RandomConnectMask
        | FileMask,
        Field(discriminator="method"),
    ]
]
ShippedRewrite = SerializeAsAny[RemoveIdleDropout]


class WorkloadForm(StrictModel):
    """A network, the size of its input and its batch, and the source of its operands.

    The input may be left out where every layer that reads none of the others has one of its own.

    Attributes:
        update: Of the parameters at the end of an iteration; left out, it is not charged.
        accumulate: Microbatches of an iteration, each of an equal part of the batch, whose gradients to parameters are
            summed.
        recompute: Patterns of layers whose outputs are not stored for the backward pass, but computed again in it.
    """

    name: WorkloadName
    description: str = ""
    batch: PositiveInt = 1
    input: NetworkInput | None = None
    blocks: dict[LayerName, Block] = Field(default_factory=dict)
    layers: Annotated[list[Layer], Field(min_length=1)]
    operands: ShippedSource | None = None
    pruning: Pruning | None = None
    sparsify: ShippedMask | None = None
    rewrites: list[ShippedRewrite] | None = None
    training: TrainingForm | None = None
    update: UpdateMethod | None = None
    accumulate: PositiveInt | None = None
    recompute: PlainText | Annotated[list[PlainText], Field(min_length=1)] | None = None

    @property
    def microbatch(self) -> int:
        """Images that are worked at one time."""
        return self.batch // (self.accumulate or 1)

    @property
    def recompute_patterns(self) -> tuple[str, ...]:
        """Patterns of layers whose outputs are computed again."""
        given = self.recompute or ()
        return (given,) if isinstance(given, str) else tuple(given)

    @field_validator("accumulate")
    @classmethod
    def _leave_out_one(cls, accumulate: int | None) -> int | None:
        return None if accumulate == 1 else accumulate

    @field_validator("update")
    @classmethod
    def _leave_out_none(cls, update: UpdateMethod | None) -> UpdateMethod | None:
        return None if update is UpdateMethod.NONE else update
