"""The numbers that fields of an architecture may hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1, le=2**20)]
Cycles = Annotated[int, Field(ge=0, le=2**20)]
Bytes = Annotated[int, Field(ge=1, le=2**40)]
