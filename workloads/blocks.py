"""Blocks of a workload's YAML form: a few layers declared once and used wherever the network repeats them.

A block is a list of layers whose values may be ``$parameter``. A use of it, ``{name: stage3, block: bottleneck,
repeat: 35, with: {channels: 256}}``, stands for its layers, named ``stage3.7.conv1`` (``stage3.conv1`` without
`repeat`; repetitions count from 1). Inside, `inputs` name the block's own layers or ``block_input``: what the use reads
(the layer before it, or its own `inputs`), and in later repetitions the last layer of the one before. Outside, the name
of the use stands for its last layer. Blocks may use other blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints

from workloads.document import FieldPath, YamlDocument
from workloads.errors import InputError
from workloads.layers import LayerName, StrictModel
from workloads.suggestions import did_you_mean
from workloads.validation import show_value, validate_document
from workloads.words import list_words
from workloads.yaml_file import VALUE_LIMIT

BLOCK_INPUT = "block_input"
LAYER_LIMIT = 5_000
BLOCK_DEPTH_LIMIT = 8
_PARAMETER = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_FIXED_FIELDS = ("name", "type", "block", "inputs")

ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64)]
ParameterValue = bool | int | float | str | list[int]


class BlockLayer(StrictModel):
    """A layer of a block, or a use of another block; the other fields are checked where the block is used."""

    model_config = ConfigDict(extra="allow")

    name: LayerName
    inputs: list[LayerName] | None = None


class Block(StrictModel):
    """Layers that are used together; ``$name`` stands for the value of a parameter."""

    parameters: list[ParameterName] = Field(default_factory=list)
    layers: Annotated[list[BlockLayer], Field(min_length=1)]


class BlockUse(StrictModel):
    """A block in its place: the values of its parameters, and how often it stands there, one after the other."""

    name: LayerName
    block: LayerName
    inputs: Annotated[list[LayerName], Field(min_length=1, max_length=1)] | None = None
    repeat: Annotated[int, Field(ge=1, le=LAYER_LIMIT)] | None = None
    values: dict[ParameterName, ParameterValue] = Field(default_factory=dict, alias="with")


@dataclass(frozen=True)
class _Entry:
    """An entry of the layers: where it stands in the file, the lines of its fields, and the blocks it came out of."""

    data: Any
    place: FieldPath
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    within: tuple[str, ...] = ()

    @property
    def is_use(self) -> bool:
        """Whether a block is used here."""
        return isinstance(self.data, dict) and "block" in self.data

    @property
    def name(self) -> str | None:
        """The entry's name, None where it has none that could be read."""
        name = self.data.get("name") if isinstance(self.data, dict) else None
        return name if isinstance(name, str) else None


def expand_blocks(document: YamlDocument) -> YamlDocument:
    """Replace every use of a block by its layers.

    The document that is returned names and places each of them as the block's layer in the file; a value that came out
    of `with` stands on its line there.

    Raises:
        InputError: a block or a use of one is not well formed, names something that is not there, is part of itself,
            is nested more than 8 deep, or makes a network of more than 5,000 layers.
    """
    layers = document.data.get("layers")
    if not isinstance(layers, list):
        return document
    if len(layers) > LAYER_LIMIT:
        place = document.place(("layers",))
        raise InputError(f"{place}: {len(layers)} layers are more than {LAYER_LIMIT}, the most that a network may have")
    by_entry = _group_lines(document)
    entries = [_Entry(data, ("layers", at), by_entry.get(("layers", at), {})) for at, data in enumerate(layers)]
    if "blocks" not in document.data and not any(entry.is_use for entry in entries):
        return document
    templates = _read_blocks(document, by_entry)
    last_layers: dict[str, str] = {}
    used: set[str] = set()
    while any(entry.is_use for entry in entries):
        entries = _expand_once(_assemble(document, entries), entries, templates, last_layers, used)
    for name in templates:
        if name not in used:
            raise InputError(f"{document.place(('blocks', name))}: no layer uses this block")
    _check_names(_assemble(document, entries), entries, last_layers)
    return _assemble(document, [_resolve_inputs(entry, last_layers) for entry in entries])


def _group_lines(document: YamlDocument) -> dict[FieldPath, dict[FieldPath, int]]:
    """Group the lines by the layer, of the network or of a block, in which they are."""
    groups: dict[FieldPath, dict[FieldPath, int]] = {}
    for path, line in document.lines.items():
        length = {"layers": 2, "blocks": 4}.get(str(path[0]), 0) if path else 0
        if length and len(path) >= length:
            groups.setdefault(path[:length], {})[path[length:]] = line
    return groups


def _assemble(document: YamlDocument, entries: Sequence[_Entry]) -> YamlDocument:
    """Return the document with these entries for its layers."""
    lines = {path: line for path, line in document.lines.items() if path[:1] != ("layers",) or len(path) == 1}
    for at, entry in enumerate(entries):
        lines |= {("layers", at, *path): line for path, line in entry.lines.items()}
    data = {**document.data, "layers": [entry.data for entry in entries]}
    places: dict[FieldPath, FieldPath] = {("layers", at): entry.place for at, entry in enumerate(entries)}
    return replace(document, data=data, lines=lines, places=places)


@dataclass(frozen=True)
class _Template:
    """A checked block: its parameters, and its layers as they stand in the file."""

    parameters: tuple[str, ...]
    entries: tuple[_Entry, ...]


def _read_blocks(document: YamlDocument, by_entry: Mapping[FieldPath, Mapping[FieldPath, int]]) -> dict[str, _Template]:
    blocks = document.data.get("blocks", {})
    if not isinstance(blocks, dict):
        raise InputError(f"{document.place(('blocks',))} must be a mapping of blocks, got {show_value(blocks)}")
    templates = {}
    for name, data in blocks.items():
        path = ("blocks", name)
        if not isinstance(data, dict):
            raise InputError(f"{document.place(path)} must be a mapping of fields, got {show_value(data)}")
        block = validate_document(document, Block, within=path)
        places: list[FieldPath] = [(*path, "layers", at) for at in range(len(block.layers))]
        made = [_Entry(entry, at, by_entry.get(at, {})) for entry, at in zip(data["layers"], places, strict=True)]
        templates[name] = _Template(tuple(block.parameters), tuple(made))
        _check_block(document, path, block, templates[name])
    return templates


def _check_block(document: YamlDocument, path: FieldPath, block: Block, template: _Template) -> None:
    names: list[str] = []
    for layer, entry in zip(block.layers, template.entries, strict=True):
        if layer.name == BLOCK_INPUT or layer.name in names:
            reason = "stands for what the block reads" if layer.name == BLOCK_INPUT else "is taken in this block"
            raise InputError(f"{document.place(entry.place)}: the name '{layer.name}' {reason}; choose another")
        names.append(layer.name)
    known = [BLOCK_INPUT, *names]
    for layer, entry in zip(block.layers, template.entries, strict=True):
        for source in layer.inputs or ():
            if source not in known:
                raise InputError(
                    f"{document.place(entry.place)}: inputs names '{source}', which is no layer of the block and not "
                    f"'{BLOCK_INPUT}'{did_you_mean(source, known)}"
                )
    found: set[str] = set()
    for entry in template.entries:
        for text in _list_texts(entry.data):
            match = _PARAMETER.fullmatch(text)
            if match is None or match[1] not in block.parameters:
                there = list_words(block.parameters) or "none"
                raise InputError(
                    f"{document.place(entry.place)}: '{text}' is no parameter of the block (its parameters are {there})"
                )
            found.add(match[1])
    for at, parameter in enumerate(block.parameters):
        if parameter not in found or parameter in block.parameters[:at]:
            reason = "is given twice" if parameter in found else "is used by none of the block's layers"
            raise InputError(f"{document.place((*path, 'parameters', at))}: the parameter '{parameter}' {reason}")


def _list_texts(data: Any) -> list[str]:
    """List the texts that begin with a dollar sign in a layer's fields."""
    if isinstance(data, dict):
        return [text for name, value in data.items() if name not in _FIXED_FIELDS for text in _list_texts(value)]
    if isinstance(data, list):
        return [text for value in data for text in _list_texts(value)]
    return [data] if isinstance(data, str) and data.startswith("$") else []


def _expand_once(
    document: YamlDocument,
    entries: Sequence[_Entry],
    templates: Mapping[str, _Template],
    last_layers: dict[str, str],
    used: set[str],
) -> list[_Entry]:
    """Replace the uses among the entries by what their blocks hold, which may be uses again."""
    expanded: list[_Entry] = []
    fields = 0
    for at, entry in enumerate(entries):
        if not entry.is_use:
            expanded.append(entry)
            continue
        use = _read_use(document, at, entry, templates)
        if use.name in last_layers:
            raise InputError(f"{document.place(('layers', at))}: the name is taken by another use of a block")
        template = templates[use.block]
        made = len(template.entries) * (use.repeat or 1)
        fields += (use.repeat or 1) * sum(len(one.lines) for one in template.entries)
        if fields > VALUE_LIMIT:
            raise InputError(
                f"{document.place(('layers', at))}: the blocks make more than {VALUE_LIMIT} fields of layers"
            )
        if len(expanded) + made + len(entries) - at - 1 > LAYER_LIMIT:
            raise InputError(
                f"{document.place(('layers', at))}: the blocks make more than {LAYER_LIMIT} layers, "
                "the most that a network may have"
            )
        before = entries[at - 1].name if at else None
        source = use.inputs[0] if use.inputs else before or "input"
        numbers = [f"{use.name}."] if use.repeat is None else [f"{use.name}.{n}." for n in range(1, use.repeat + 1)]
        with_lines = {name: document.line(("layers", at, "with", name)) for name in use.values}
        for prefix in numbers:
            place = _Place(prefix, source, use.values, with_lines, (*entry.within, use.block))
            expanded.extend(_fill_entry(template, position, place) for position in range(len(template.entries)))
            source = expanded[-1].data["name"]
        last_layers[use.name] = source
        used.add(use.block)
    return expanded


def _read_use(document: YamlDocument, at: int, entry: _Entry, templates: Mapping[str, _Template]) -> BlockUse:
    use = validate_document(document, BlockUse, within=("layers", at))
    where = document.place(("layers", at))
    if use.block not in templates:
        there = list_words(templates) or "none"
        near = did_you_mean(use.block, templates)
        raise InputError(f"{where}: there is no block '{use.block}'{near} (the blocks are {there})")
    if use.block in entry.within:
        raise InputError(f"{where}: the block '{use.block}' is part of itself")
    if len(entry.within) == BLOCK_DEPTH_LIMIT:
        raise InputError(f"{where}: blocks are nested more than {BLOCK_DEPTH_LIMIT} deep")
    parameters = templates[use.block].parameters
    for name in use.values:
        if name not in parameters:
            near, there = did_you_mean(name, parameters), list_words(parameters) or "none"
            raise InputError(
                f"{where}: with gives '{name}', which is no parameter of block '{use.block}'{near} "
                f"(its parameters are {there})"
            )
    for name in parameters:
        if name not in use.values:
            raise InputError(f"{where}: with.{name} is missing; block '{use.block}' needs {list_words(parameters)}")
    return use


@dataclass(frozen=True)
class _Place:
    """One repetition of a block: what its names begin with, what it reads, and its parameters' values and lines."""

    prefix: str
    source: str
    values: Mapping[str, Any]
    value_lines: Mapping[str, int | None]
    within: tuple[str, ...]


def _fill_entry(template: _Template, position: int, place: _Place) -> _Entry:
    """Make one layer of a repetition."""
    entry = template.entries[position]
    lines = dict(entry.lines)
    data = {
        name: value if name in _FIXED_FIELDS else _fill_value(value, (name,), place, lines)
        for name, value in entry.data.items()
    }
    data["name"] = place.prefix + data["name"]
    if data.get("inputs") is not None:
        data["inputs"] = [place.source if name == BLOCK_INPUT else place.prefix + name for name in data["inputs"]]
    elif position == 0:
        data["inputs"] = [place.source]
    return _Entry(data, entry.place, lines, place.within)


def _fill_value(value: Any, path: FieldPath, place: _Place, lines: dict[FieldPath, int]) -> Any:
    if isinstance(value, dict):
        return {name: _fill_value(inner, (*path, name), place, lines) for name, inner in value.items()}
    if isinstance(value, list):
        return [_fill_value(inner, (*path, at), place, lines) for at, inner in enumerate(value)]
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    line = place.value_lines[value[1:]]
    if line is not None:
        lines[path] = line
    return place.values[value[1:]]


def _check_names(document: YamlDocument, entries: Sequence[_Entry], last_layers: Mapping[str, str]) -> None:
    """Refuse names that two layers would have, or a layer and a use of a block."""
    taken: dict[str, int] = {}
    for at, entry in enumerate(entries):
        name = entry.name
        if name is None:
            continue
        where = document.place(("layers", at))
        if name in last_layers:
            raise InputError(f"{where}: the name is taken by a use of a block; names must be unique")
        if name in taken:
            owner, _ = document.split(("layers", taken[name]))
            raise InputError(f"{where}: the name is taken by {owner.rpartition(' ')[0]}; names must be unique")
        taken[name] = at


def _resolve_inputs(entry: _Entry, last_layers: Mapping[str, str]) -> _Entry:
    """Replace the names of uses among a layer's inputs by those of their last layers."""
    if not isinstance(entry.data, dict) or not isinstance(entry.data.get("inputs"), list):
        return entry
    inputs = []
    for source in entry.data["inputs"]:
        name = source
        while isinstance(name, str) and name in last_layers:
            name = last_layers[name]
        inputs.append(name)
    return replace(entry, data={**entry.data, "inputs": inputs})


def add_block_forms(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a workload's JSON schema with uses of blocks among the layers, and blocks' layers with parameters."""
    forms = dict(schema["$defs"])
    uses = BlockUse.model_json_schema()
    forms |= {**uses.pop("$defs", {}), "BlockUse": uses}
    layers = schema["properties"]["layers"]["items"]
    names = [reference.rpartition("/")[2] for reference in layers["discriminator"]["mapping"].values()]
    for name in (*names, "BlockUse"):
        forms[f"{name}InBlock"] = _allow_parameters(forms[name])
    in_block = [{"$ref": f"#/$defs/{name}InBlock"} for name in (*names, "BlockUse")]
    forms["Block"] = _set_layers(forms["Block"], {"anyOf": in_block})
    forms.pop("BlockLayer", None)
    return _set_layers({**schema, "$defs": forms}, {"anyOf": [layers, {"$ref": "#/$defs/BlockUse"}]})


def _set_layers(form: Mapping[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form whose field `layers` holds such items."""
    properties = form["properties"]
    return {**form, "properties": {**properties, "layers": {**properties["layers"], "items": items}}}


def _allow_parameters(form: Mapping[str, Any]) -> dict[str, Any]:
    parameter = {"type": "string", "pattern": f"^{_PARAMETER.pattern}$"}
    properties = {
        name: allowed if name in _FIXED_FIELDS else {"anyOf": [allowed, parameter]}
        for name, allowed in form["properties"].items()
    }
    return {**form, "properties": properties}
