"""The architecture of the machine: strict YAML, presets, overrides."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer, model_validator

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.contract.options import Option
from dataflows.contract.problem import StepProblem
from sim.dram_section import DramModel as DramModel
from sim.dram_section import DramSection
from sim.machine.surroundings import INSTANT, Surroundings
from sim.machine_names import MACHINE_NAME, NAME_CHARACTERS, list_changes, name_changes, split_name
from sim.number_ranges import Bytes, Count, Cycles
from sim.storage_section import SparseFormat, StorageSection
from workloads.document import FieldPath, YamlDocument
from workloads.errors import InputError
from workloads.layers import LayerName, StrictModel
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.validation import did_you_mean, validate_document
from workloads.value_formats import ValueFormat
from workloads.yaml_file import load_yaml, parse_yaml

SHOWN_CHARACTERS = 80
PlainText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
MachineName = Annotated[str, StringConstraints(pattern=MACHINE_NAME, max_length=NAME_CHARACTERS)]


class ArraySection(StrictModel):
    """PE groups and what a PE does in a cycle; the defaults are assumed (56 groups of 3 PEs, as many as Eyeriss)."""

    groups: Count = 56
    pes_per_group: Count = 3
    multipliers_per_pe: Count = 1
    accumulators: Count = 256
    min_tasks_per_group: Count = 32
    row_overhead_cycles: Cycles = 1
    empty_issue_cycles: Cycles = 1
    skip_zeros: bool = True
    skip_weights: bool = False
    pack_groups: bool = True
    skip_empty_rows: bool = False

    def describe(self) -> PEArray:
        """Give the record that dataflows see."""
        return PEArray(**self.model_dump())


class SramCellType(StrEnum):
    """SRAM cells: high performance, or low standby power (slower)."""

    HP = "hp"
    LSTP = "lstp"


class BufferSection(StrictModel):
    """The global buffer, its ports and the operand stores of the groups; null is unlimited.

    Attributes:
        keep_on_chip: What a step or pass writes and the very next one reads stays in the buffer where that saves DRAM
            bytes.
    """

    capacity_bytes: Bytes | None = 395264
    ports: Count | None = 32
    bytes_per_port_cycle: Count | None = 16
    operand_store_bytes: Annotated[int, Field(ge=2, le=2**40)] | None = 2048
    prefetch_next_task: bool = True
    multicast: Count = 1
    cell: SramCellType = SramCellType.HP
    keep_on_chip: bool = False


class PpuSection(StrictModel):
    """The post-processing unit of a group; null processes any number of elements in no time.

    Attributes:
        fuse_passes: Elementwise passes run with the one before them where nobody else reads what that one writes.
    """

    elements_per_cycle: Count | None = 1
    fuse_passes: bool = False


SURROUNDINGS = ("buffer", "dram", "ppu", "storage")


class Architecture(StrictModel):
    """A machine: its clock, its dataflow by name, its PE array, and what surrounds the array.

    Without buffer, dram, ppu and storage it is ideal: memory, post-processing and elementwise passes take no time.

    Attributes:
        dataflow_options: Those of the dataflow that are not its defaults; a machine without any is written without
            them.
    """

    name: MachineName
    clock_mhz: Annotated[int, Field(ge=1, le=100_000)] = 800
    dataflow: LayerName = "sparsetrain"
    dataflow_options: dict[LayerName, Option] = Field(default_factory=dict)
    array: ArraySection = ArraySection()
    buffer: BufferSection | None = None
    dram: DramSection | None = None
    ppu: PpuSection | None = None
    storage: StorageSection | None = None
    technology: PlainText | None = None

    @model_validator(mode="after")
    def _require_surroundings(self) -> Architecture:
        given = [name for name in SURROUNDINGS if getattr(self, name) is not None]
        if given and len(given) < len(SURROUNDINGS):
            missing = [name for name in SURROUNDINGS if name not in given]
            raise ValueError(
                f"{' and '.join(given)} given without {' and '.join(missing)}; a machine has all of "
                f"{', '.join(SURROUNDINGS)}, or none and is then ideal"
            )
        if self.technology is not None and not given:
            raise ValueError("technology is given, but an ideal machine (no buffer, dram, ppu, storage) has no energy")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_no_options(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = write(self)
        if not self.dataflow_options:
            data.pop("dataflow_options", None)
        return data

    @property
    def values(self) -> ValueFormat:
        """How values are stored; an ideal machine rounds none."""
        return ValueFormat.FLOAT32 if self.storage is None else self.storage.values

    @property
    def loss_scale(self) -> int:
        """What gradients are multiplied by before they are rounded."""
        return 1 if self.storage is None else self.storage.loss_scale

    @property
    def is_ideal(self) -> bool:
        """Whether memory, post-processing and elementwise passes take no time."""
        return self.buffer is None

    def without_skipping(self) -> Architecture:
        """Give the same machine with skipping off: its dense baseline."""
        name = self.name if not self.array.skip_zeros else f"{self.name}-dense"
        array = self.array.model_copy(update={"skip_zeros": False, "skip_empty_rows": False})
        return self.model_copy(update={"name": name, "array": array})

    def describe_surroundings(self) -> Surroundings:
        """Give the speeds of what surrounds the PE groups."""
        if self.buffer is None or self.dram is None or self.ppu is None:
            return INSTANT
        return Surroundings(
            ports=self.buffer.ports,
            bytes_per_port_cycle=self.buffer.bytes_per_port_cycle,
            dram_bytes_per_cycle=self.dram.total_bytes_per_cycle,
            dram_latency_cycles=self.dram.latency_cycles,
            elements_per_cycle=self.ppu.elements_per_cycle,
            prefetches_next_task=self.buffer.prefetch_next_task,
            banked=self.dram.describe_banks(self.clock_mhz),
            multicast=self.buffer.multicast,
        )

    def describe_dram(self) -> dict[str, Any] | None:
        """Give DRAM with banks as plain data, and how its clock stands to the machine's; None of a constant channel."""
        return None if self.dram is None else self.dram.describe_clocks(self.clock_mhz)

    def describe_reads(self) -> str:
        """Say in words whether groups share what they read of the buffer."""
        if self.buffer is None or self.buffer.multicast == 1:
            return "groups do not share reads: there is no multicast"
        return f"up to {self.buffer.multicast} equal requests for driver rows share a read of the buffer"

    def describe_memory(self) -> MemoryShare | None:
        """Give the record of the memory that dataflows see; None on an ideal machine."""
        if self.buffer is None or self.storage is None:
            return None
        form = self.storage.sparse_format
        return MemoryShare(
            capacity_bytes=self.buffer.capacity_bytes,
            operand_store_bytes=self.buffer.operand_store_bytes,
            data_bits=self.storage.data_bits,
            acc_bits=self.storage.acc_bits,
            sparse_format=None if form is SparseFormat.AUTO else RowFormat(form.value),
            shares_reads=self.buffer.multicast > 1,
        )

    def __repr__(self) -> str:
        array, kind = self.array, "ideal, " if self.is_ideal else ""
        return (
            f"<Architecture {self.name}: {kind}{array.groups} groups of {array.pes_per_group} PEs, "
            f"{self.clock_mhz} MHz, dataflow {self.dataflow}>"
        )

    def __hash__(self) -> int:
        """Hash what tells machines apart; options are a mapping, which has no hash of its own."""
        return hash((self.name, self.dataflow, self.clock_mhz, self.array, repr(sorted(self.dataflow_options.items()))))

    def pose(self, operands: Operands, step: Step, memory: MemoryShare | None = None) -> StepProblem:
        """Give the step as this machine's dataflow is asked to map it.

        Args:
            memory: What the step may use of the memory, by default all that there is.
        """
        return StepProblem(operands, step, self.array.describe(), memory or self.describe_memory())


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """A named architecture that ships with the package."""

    name: str
    description: str


def list_architectures() -> tuple[Preset, ...]:
    """List the architecture presets; a preset's description is the first comment line of its file."""
    folder = files("sim") / "presets" / "architectures"
    presets = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name.removesuffix(".yaml")):
        if entry.name.endswith(".yaml"):
            first_line = entry.read_text(encoding="utf-8").partition("\n")[0]
            presets.append(Preset(entry.name.removesuffix(".yaml"), first_line.lstrip("# ")))
    return tuple(presets)


def load_architecture(name_or_path: str | Path, overrides: tuple[str, ...] = ()) -> Architecture:
    """Load a preset by name or a YAML file, then apply overrides as `override_architecture` does.

    Raises:
        InputError: no such preset or file, a field that is unknown or has a value that is not allowed,
            an override that is not KEY=VALUE.
    """
    document = read_architecture(str(name_or_path))
    return override_architecture(validate_document(document, Architecture), document, overrides)


def override_architecture(
    architecture: Architecture, document: YamlDocument | None, overrides: tuple[str, ...]
) -> Architecture:
    """Apply overrides such as ``array.groups=28``.

    The name tells what changed, unless an override gives another one: ``sparsetrain[array.groups=28]``.

    Args:
        document: What the machine was read from.

    Raises:
        InputError: an override is not KEY=VALUE, or its field is unknown or has a value that is not allowed.
    """
    changed = architecture
    document = document or YamlDocument(architecture.name, architecture.model_dump(mode="json"))
    refused: InputError | None = None
    fault = ""
    for override in overrides:
        document = override_field(document, override)
        try:
            changed, refused = validate_document(document, Architecture), None
        except InputError as error:
            # Fields that only go together are set one after the other: what counts is the machine in the end, and the
            # override since which it has its fault.
            words = str(error).removeprefix(document.label)
            if refused is None or words != fault:
                refused, fault = error, words
    if refused is not None:
        raise refused
    return changed if changed.name != architecture.name else name_override(architecture, changed)


def name_override(before: Architecture, after: Architecture) -> Architecture:
    """Name a machine by what differs from the one that it was made from, or from the preset that this is named after.

    A field that was set to the value it had is no difference.
    """
    name, reference = before.name, before
    root, told, behind = split_name(before.name)
    if told and not behind and root in [preset.name for preset in list_architectures()]:
        name, reference = root, load_architecture(root)
    changes = list_changes(reference.model_dump(mode="json"), after.model_dump(mode="json"))
    return after.model_copy(update={"name": name_changes(name, changes)})


def read_architecture(name_or_path: str) -> YamlDocument:
    """Read the document of a preset or a file; a name with a slash or a suffix is a file."""
    names = [preset.name for preset in list_architectures()]
    if name_or_path in names:
        entry = files("sim") / "presets" / "architectures" / f"{name_or_path}.yaml"
        return parse_yaml(entry.read_text(encoding="utf-8"), f"preset {name_or_path}")
    path = Path(name_or_path)
    if name_or_path and (path.exists() or path.suffix in (".yaml", ".yml") or len(path.parts) > 1):
        return load_yaml(path)
    raise InputError(
        f"unknown architecture '{name_or_path}'{did_you_mean(name_or_path, names)} "
        f"(the presets are {', '.join(names)}; or give a YAML file)"
    )


def override_field(document: YamlDocument, override: str) -> YamlDocument:
    """Set one field of a document by its dotted path; errors of validating the result name the override.

    Raises:
        InputError: the override is not KEY=VALUE, or its value is not YAML.
    """
    label = f"--set {shorten_line(override)}"
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"{label}: must be KEY=VALUE with a dotted KEY, such as array.groups=28")
    path: FieldPath = tuple(key.split("."))
    return YamlDocument(label, merge_field(document.data, path, parse_value(text, label)))


def shorten_line(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Cut a text that an error message repeats to 80 printable characters of one line, or to another length."""
    line = text if text.isprintable() else repr(text)
    return line if len(line) <= most else line[: most - 3] + "..."


def parse_value(text: str, label: str) -> Any:
    """Read one YAML value by the rules of the files.

    Raises:
        InputError: it is not strict YAML; the message begins with `label`.
    """
    try:
        data = parse_yaml(f"value: {text}", "value").data
    except InputError as error:
        raise InputError(f"{label}: {str(error).partition(': ')[2]}") from None
    if list(data) != ["value"]:
        raise InputError(f"{label}: must be one value, got several lines")
    return data["value"]


def merge_field(data: dict[str, Any], path: FieldPath, value: Any) -> dict[str, Any]:
    """Copy nested data with the value at `path` replaced."""
    head, rest = str(path[0]), path[1:]
    inner = data.get(head)
    return {**data, head: merge_field(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}
