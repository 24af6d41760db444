"""The form of a workload with the extensions that its file names: what packages add is loaded where it is used."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args

from pydantic import BaseModel, Field, SerializeAsAny, WrapValidator, create_model

from workloads.blocks import add_block_forms
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.masks.table import MASK_PRODUCERS
from workloads.plugins import ExtensionPoint
from workloads.pruners.table import THRESHOLD_MODELS
from workloads.rewrites.table import REWRITES
from workloads.schema import WorkloadForm
from workloads.sources.table import SOURCES

# Pydantic dumps a field as its declared type, a guest's fields left out, unless it is told to take what is there.
SERIALIZED_AS_IT_IS = cast(Any, SerializeAsAny)()


@dataclass(frozen=True, eq=False)
class Section:
    """A section of the form that names extensions by a field of theirs: one of them, or a list."""

    field: str
    point: ExtensionPoint[Any]
    tag: str
    is_list: bool = False

    def names(self, data: Any) -> list[str]:
        """Give the names in a workload's plain data, which need not be valid."""
        section = data.get(self.field) if isinstance(data, dict) else None
        entries = section if self.is_list and isinstance(section, list) else [section]
        named = [entry.get(self.tag) for entry in entries if isinstance(entry, dict)]
        return [name for name in named if isinstance(name, str)]

    def annotation(self, wanted: Collection[str]) -> Any:
        """Give the field's type; what is registered and not wanted stands in it by its name alone."""
        members = tuple(
            self.load(name) if name in wanted or name in self.point.built_in else _stand_in(name, self.tag)
            for name in self.point.names()
        )
        entry: Any = members[0]
        if len(members) > 1:
            entry = Annotated[Union[members], Field(discriminator=self.tag)]  # noqa: UP007
        # What the type is, is known when the program runs, so that it is written for no type checker.
        any_entry: Any = Annotated[entry, SERIALIZED_AS_IT_IS]
        kind: Any = list[any_entry] if self.is_list else any_entry
        return Union[kind, None]  # noqa: UP007

    def load(self, name: str) -> type[BaseModel]:
        """Load an extension, whose form must bear the name under which it is registered.

        Raises:
            InputError: it cannot be loaded, or bears another.
        """
        model: type[BaseModel] = self.point.load(name)
        info = model.model_fields.get(self.tag)
        if info is None or get_args(info.annotation) != (name,):
            raise InputError(
                f"the {self.point.noun} {name!r} ({model.__module__}:{model.__qualname__}) must declare "
                f'{self.tag}: Literal["{name}"]'
            )
        return model


SECTIONS = (
    Section("operands", SOURCES, "source"),
    Section("sparsify", MASK_PRODUCERS, "method"),
    Section("rewrites", REWRITES, "method", is_list=True),
)
# Sections whose form is the project's own, and that name an extension which has no fields in it.
NAMED_ALONE = (Section("pruning", THRESHOLD_MODELS, "model"),)


def find_form(data: Any) -> type[WorkloadForm]:
    """Give the form of a workload's plain data, with the extensions of packages that they name.

    Raises:
        InputError: such an extension cannot be loaded.
    """
    wanted = {section.field: section.names(data) for section in SECTIONS}
    further = [section for section in SECTIONS if not section.point.built_in.keys() >= {*wanted[section.field]}]
    return _extend({section: wanted[section.field] for section in further})


def read_form(data: Any) -> WorkloadForm:
    """Validate plain data as a workload's form.

    Raises:
        InputError: an extension cannot be loaded.
        ValidationError: the data are no workload.
    """
    return find_form(data).model_validate_json(json.dumps(data))


# For records that hold a workload, whichever extensions it names.
AnyWorkloadForm = Annotated[
    WorkloadForm,
    WrapValidator(lambda data, validate: validate(data) if find_form(data) is WorkloadForm else read_form(data)),
]


def list_providers(form: WorkloadForm) -> list[str]:
    """List what provides the extensions that a workload names, as `ExtensionPoint.providers` gives it."""
    sections = (*SECTIONS, *NAMED_ALONE)
    data = form.model_dump(mode="json", include={section.field for section in sections})
    return [one for section in sections for name in section.names(data) for one in section.point.providers(name)]


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a workload's YAML form, with all that is registered.

    Raises:
        InputError: something registered cannot be loaded.
    """
    further = {section: section.point.names() for section in SECTIONS}
    form = add_block_forms(_extend(further).model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **form}


def _extend(wanted: Mapping[Section, Collection[str]]) -> type[WorkloadForm]:
    """Let sections hold what packages register, where they register anything."""
    fields = dict(_list_fields(wanted))
    if not fields:
        return WorkloadForm
    model: type[WorkloadForm] = create_model(
        WorkloadForm.__name__, __base__=WorkloadForm, __doc__=WorkloadForm.__doc__, **fields
    )
    return model


def _list_fields(wanted: Mapping[Section, Collection[str]]) -> Iterator[tuple[str, Any]]:
    for section, names in wanted.items():
        if set(section.point.names()) > set(section.point.built_in):
            yield section.field, (section.annotation(names), None)


def _stand_in(name: str, tag: str) -> type[BaseModel]:
    """Give a form that is there for its name, by which it is offered and told apart, but is not used."""
    allowed: Any = Literal[name]
    fields: dict[str, Any] = {tag: (allowed, ...)}
    return create_model(name, __base__=StrictModel, **fields)
