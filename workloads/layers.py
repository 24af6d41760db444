"""What the records of YAML files are made of: strict, frozen, complete when constructed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

LayerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.\-]*$", max_length=128)]
SIZE_LIMIT = 2**24
PositiveInt = Annotated[int, Field(ge=1, le=SIZE_LIMIT)]
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


class SignalInput(StrictModel):
    """One signal of the batch: an image that is one row high."""

    channels: PositiveInt
    length: PositiveInt

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, 1, W)."""
        return (self.channels, 1, self.length)


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


OwnInput = ImageInput | SignalInput | FeatureInput | TokenInput


def read_signal(value: Any) -> Any:
    """Turn the fields of a signal into those of the image that it is; leave all else as it is.

    Raises:
        ValueError: there are other fields beside the length, or it is none.
    """
    if not isinstance(value, dict) or "length" not in value:
        return value
    if value.keys() - {"channels", "length"}:
        raise ValueError(f"a signal has the fields channels and length, got {', '.join(map(str, value))}")
    length = value["length"]
    if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= SIZE_LIMIT:
        raise ValueError(f"length must be a whole number from 1 to {SIZE_LIMIT}, got {length}")
    return {name: size for name, size in value.items() if name != "length"} | {"height": 1, "width": length}


# The network's own is always an image, so that what fits images to it need not know signals.
NetworkInput = Annotated[ImageInput, BeforeValidator(read_signal, json_schema_input_type=ImageInput | SignalInput)]
