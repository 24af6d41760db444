"""What the records of YAML files are made of: strict, frozen, complete when constructed."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

LayerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$", max_length=128)]
PositiveInt = Annotated[int, Field(ge=1, le=2**24)]
Natural = Annotated[int, Field(ge=0, le=2**16)]
Pair = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
NaturalPair = Annotated[list[Natural], Field(min_length=2, max_length=2)]
NaturalQuad = Annotated[list[Natural], Field(min_length=4, max_length=4)]


class StrictModel(BaseModel):
    """A configuration record: unknown fields and silent casts are errors, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ImageInput(StrictModel):
    """One image of the batch."""

    channels: PositiveInt
    height: PositiveInt
    width: PositiveInt

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)


class FeatureInput(StrictModel):
    """The features of one image of the batch."""

    features: PositiveInt

    @property
    def shape(self) -> tuple[int, ...]:
        """(F,)."""
        return (self.features,)


class TokenInput(StrictModel):
    """The tokens of one image of the batch."""

    tokens: PositiveInt
    channels: PositiveInt

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, C)."""
        return (self.tokens, self.channels)


OwnInput = ImageInput | FeatureInput | TokenInput
