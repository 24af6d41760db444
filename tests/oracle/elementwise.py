"""Model the elementwise passes of a training iteration from the definition alone: what each moves, and its cycles.

The iteration is gone through as it is executed, and every tensor that is stored on the way has a key of its own: a
node's output, or a gradient as somebody leaves it. Layers that the accelerator executes in steps are events too, so
that everything that is read was written by an event before.

Choices where the definition of the machine leaves room:

P1. Readers of one tensor hand their shares of its gradient back in the reverse of the network's order, losses first;
    who writes a share adds what is stored of the others by then.
P2. A tensor takes what the step that writes it writes; else what a step reads of it, or adds; else its share of what a
    step reads of a concatenation that it lies in; else the bytes of raw rows.
P4. The copy of a gradient that a layer's GTA reads is a tensor of the layer's own, whose bytes that GTA tells; it is
    written between the layer's GTW and its GTA.
P3. Where a ReLU or dropout rides along, what is before it is written too if anyone else reads it; a view is not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from oracle.elementwise_kinds import (
    AVERAGES,
    FLAGGED,
    HANDING_ON,
    IN_PLACE,
    KEEPING_INPUT,
    KEEPING_OUTPUT,
    KEEPING_ZEROS,
    LOSSES,
    RIDING,
    STEPPED,
    SWEPT_TWICE_BACKWARD,
    SWEPT_TWICE_FORWARD,
    TELLING_MASKS,
    VIEWS,
    Layer,
    count_elements,
    count_index_bits,
    count_target_elements,
    count_window,
)
from oracle.stepped_records import divide_up

# ("out", node), ("grad", node, who left it, for which of its inputs).
Key = tuple[str, ...]


@dataclass
class Part:
    """Stand for a part of what is stored under a key, so many elements of it."""

    key: Key
    elements: int


@dataclass
class Event:
    """Describe a step or a pass.

    Attributes:
        reads: Keys of whole tensors and parts of them, as often as they are read.
        window: Rows needed of what it reads, but for what it adds; None for the whole tensor.
        added: What it adds to a gradient of its own.
        beside_bytes: Of indices, flags and masks, read or written.
    """

    names: list[str]
    kind: str
    step: str
    elements: int = 0
    reads: list[Key | Part] = field(default_factory=list)
    writes: list[Key] = field(default_factory=list)
    window: int | None = None
    added: list[Key | Part] = field(default_factory=list)
    read_beside_bytes: int = 0
    written_beside_bytes: int = 0
    target_elements: int = 0

    @property
    def is_pass(self) -> bool:
        """Tell whether it is no step."""
        return self.kind != "step"


@dataclass
class StepTensors:
    """Give the stored bytes of what a layer's steps read, write and add, the latter in the order of storing."""

    input: int
    output: int
    grad_output: int
    grad_input: int | None = None
    grad_factor: int | None = None
    summed: tuple[int, ...] = ()
    factor_summed: tuple[int, ...] = ()
    gradient_copy: int | None = None


class Iteration:
    """Go through an iteration and list its events.

    copied: the layers whose GTA reads a pruned copy of its gradient.
    """

    def __init__(self, layers: Iterable[Layer], copied: Collection[str] = ()) -> None:
        self.copied = copied
        self.layers = {layer.name: layer for layer in layers}
        self.readers: dict[str, list[Layer]] = {}
        for layer in self.layers.values():
            for source in layer.inputs:
                self.readers.setdefault(source, []).append(layer)
        self.events: list[Event] = []
        self.shapes: dict[Key, tuple[int, ...]] = {}
        self.joined: dict[str, list[Key]] = {}
        self.step_writes: dict[Key, tuple[str, str]] = {}
        self.step_reads: dict[Key, list[tuple[str, str, int]]] = {}
        self.trained = self._find_trained()
        self.rectified = self._find_rectified()
        self.written_gradients: dict[str, list[Key | Part]] = {}
        for layer in self.layers.values():
            if layer.kind not in LOSSES:
                self._go_forward(layer)
        for layer in self.layers.values():
            if layer.kind in LOSSES:
                self._evaluate(layer)
        for layer in reversed(self.layers.values()):
            if layer.kind not in LOSSES:
                self._go_back(layer)

    def _find_trained(self) -> set[str]:
        trained: set[str] = set()
        for layer in self.layers.values():
            if layer.is_trained or trained & set(layer.inputs):
                trained.add(layer.name)
        return trained

    def _find_rectified(self) -> set[str]:
        found: set[str] = set()
        for layer in self.layers.values():
            if layer.kind in ("relu", "relu6") or (
                layer.kind in KEEPING_ZEROS and layer.inputs and set(layer.inputs) <= found
            ):
                found.add(layer.name)
        return found

    # Forward.

    def resolve(self, name: str) -> Key | Part:
        """Give what is read where a node's output is read."""
        layer = self.layers.get(name)
        if layer is None:
            return ("out", name)
        if layer.kind == "split":
            whole = self.resolve(layer.inputs[0])
            return Part(whole.key if isinstance(whole, Part) else whole, prod(layer.shape))
        is_view = layer.kind in VIEWS and ("out", layer.inputs[0]) in self.shapes
        if is_view or (layer.kind in RIDING and ("out", name) not in self.shapes):
            return self.resolve(layer.inputs[0])
        return ("out", name)

    def list_versions(self, name: str, reads_back: bool) -> list[str]:
        """Name what is stored of a node's output: itself and what rides along, where others than riders read it."""
        stored, waiting = [name] * reads_back, [name]
        for one in waiting:
            end = ([one, *self._list_riders(one)])[-1]
            seen = list(self._see_through(end))
            riders = [reader.name for reader in seen if reader.kind in RIDING]
            if not seen or len(riders) < len(seen):
                stored.append(end)
            waiting += riders
        return list(dict.fromkeys(stored))

    def _see_through(self, name: str) -> Iterator[Layer]:
        """Give the readers of a tensor and of its views, where several read it."""
        for reader in self.readers.get(name, []):
            if reader.kind in VIEWS and self.readers.get(reader.name):
                yield from self._see_through(reader.name)
            else:
                yield reader

    def _go_forward(self, layer: Layer) -> None:
        if layer.kind in RIDING or layer.kind == "parameter":
            if layer.kind == "parameter":
                self._store(layer.name)
            return
        if layer.kind in IN_PLACE:
            if layer.kind == "concat":
                self._store(layer.name)
            return
        event = Event([layer.name], layer.kind, "forward", reads=[self.resolve(name) for name in layer.inputs])
        reads_back = layer.kind in KEEPING_OUTPUT and layer.name in self.trained
        versions = self.list_versions(layer.name, reads_back)
        for version in versions:
            self._store(version)
        event.writes = [("out", version) for version in versions]
        if layer.kind in STEPPED:
            event.kind = "step"
            self._note_read(layer, "input", layer.inputs[0])
            self.step_writes |= dict.fromkeys(event.writes, (layer.name, "output"))
        else:
            sweeps = 2 if layer.kind in SWEPT_TWICE_FORWARD else 1
            event.reads *= sweeps
            event.elements = sweeps * count_elements(layer)
            event.window = count_window(layer, backward=False)
            event.written_beside_bytes = divide_up(count_index_bits(layer), 8)
        event.names += self._list_riders(layer.name)
        self.events.append(event)

    def _list_riders(self, name: str) -> list[str]:
        names: list[str] = []
        while len(readers := self.readers.get(name, [])) == 1 and readers[0].kind in RIDING:
            name = readers[0].name
            names.append(name)
        return names

    def _store(self, name: str) -> None:
        self.shapes["out", name] = self.layers[name].shape

    def _note_read(self, layer: Layer, column: str, source: str) -> None:
        key, name = self.resolve(source), source
        # A ReLU that is not its input's only reader is applied to what is read, and tells nothing of what is stored.
        while name in self.layers and self.layers[name].kind in RIDING and ("out", name) not in self.shapes:
            (before,) = self.layers[name].inputs
            if self.layers[name].kind not in VIEWS and len(self.readers[before]) > 1:
                return
            name = before
        if not isinstance(key, Part):
            self.step_reads.setdefault(key, []).append((layer.name, column, 0))

    # Backward.

    def _evaluate(self, layer: Layer) -> None:
        (source,) = layer.inputs
        event = Event([layer.name], layer.kind, "loss", count_elements(layer), reads=[self.resolve(source)])
        event.window = count_window(layer, backward=False)
        event.target_elements = count_target_elements(layer)
        self._write_share(event, layer, 0)
        self.events.append(event)

    def _write_share(self, event: Event, layer: Layer, number: int) -> None:
        """Add what is stored of a gradient by now, and leave the sum under a key of its own."""
        source = layer.inputs[number]
        pending = self.written_gradients.setdefault(source, [])
        if source in self.trained:
            event.added += pending
            event.reads += pending
        key = ("grad", source, layer.name, str(number))
        self.shapes[key] = self._shape_of(source)
        event.writes.append(key)
        self.written_gradients[source] = [key]

    def _shape_of(self, name: str) -> tuple[int, ...]:
        if name in self.layers:
            return self.layers[name].shape
        return next(
            shape
            for layer in self.layers.values()
            for source, shape in zip(layer.inputs, layer.shapes, strict=True)
            if source == name
        )

    def _go_back(self, layer: Layer) -> None:
        gradient = self._finish(layer)
        if layer.name not in self.trained:
            return
        spread = [number for number, shape in enumerate(layer.shapes) if layer.kind == "add" and shape != layer.shape]
        if layer.kind in HANDING_ON:
            for number, source in enumerate(layer.inputs):
                if source in self.trained and number not in spread:
                    handed = gradient
                    if layer.kind == "concat":
                        (whole,) = gradient
                        inner = whole.key if isinstance(whole, Part) else whole
                        handed = [Part(inner, prod(self._shape_of(source)))]
                    self.written_gradients.setdefault(source, []).extend(handed)
            if not any(layer.inputs[number] in self.trained for number in spread):
                return
        if layer.kind in STEPPED:
            self._go_back_in_steps(layer, gradient)
            return
        sweeps = 2 if layer.kind in SWEPT_TWICE_BACKWARD else 1
        event = Event([layer.name], layer.kind, "backward", sweeps * count_elements(layer))
        event.window = count_window(layer, backward=True)
        if layer.kind in KEEPING_INPUT:
            event.reads += [self.resolve(name) for name in layer.inputs] * sweeps
        if layer.kind in KEEPING_OUTPUT:
            event.reads += [("out", layer.name)] * sweeps
        event.reads += gradient * sweeps
        if layer.kind in FLAGGED | {"max_pool"}:
            event.read_beside_bytes = divide_up(count_index_bits(layer), 8)
        if layer.kind in AVERAGES and set(layer.inputs) <= self.rectified:
            *outer, width = layer.shapes[0]
            event.read_beside_bytes = prod(outer) * divide_up(width, 8)
        for number, source in enumerate(layer.inputs):
            if source in self.trained and (layer.kind not in HANDING_ON or number in spread):
                self._write_share(event, layer, number)
        self.events.append(event)

    def _go_back_in_steps(self, layer: Layer, gradient: list[Key | Part]) -> None:
        events: list[Event] = []
        for place, (step, written, summed) in enumerate(
            (("gta", "grad_input", "summed"), ("gtw", "grad_factor", "factor_summed"))
        ):
            is_written = place < len(layer.inputs) and layer.inputs[place] in self.trained
            if not is_written and (step == "gta" or len(layer.inputs) == 2):
                continue
            event = Event([layer.name], "step", step, reads=list(gradient))
            if step == "gta" and layer.name in self.copied:
                events.append(self._write_copy(layer, gradient))
                event.reads = list(events[0].writes)
            for tensor in gradient if event.reads == gradient else ():
                if not isinstance(tensor, Part) and prod(self.shapes[tensor]) == prod(layer.shape):
                    self.step_reads.setdefault(tensor, []).append((layer.name, "grad_output", 0))
            if is_written:
                self._write_share(event, layer, place)
                self.step_writes[event.writes[0]] = (layer.name, written)
                for number, tensor in enumerate(event.added):
                    if not isinstance(tensor, Part) and prod(self.shapes[tensor]) == prod(layer.shapes[place]):
                        self.step_reads.setdefault(tensor, []).append((layer.name, summed, number))
            events.append(event)
        # Shares are written in the order of the inputs; with a copy GTW is executed before it.
        has_gtw = layer.name in self.copied and events[-1].step == "gtw"
        self.events += [events[-1], *events[:-1]] if has_gtw else events

    def _write_copy(self, layer: Layer, gradient: list[Key | Part]) -> Event:
        """Prune the gradient to a layer's output into a tensor of its own."""
        key = ("copy", layer.name)
        self.shapes[key] = layer.shape
        self.step_reads[key] = [(layer.name, "gradient_copy", 0)]
        return Event([layer.name], "gradient_pruning", "backward", prod(layer.shape), list(gradient), [key], window=0)

    def _finish(self, layer: Layer) -> list[Key | Part]:
        """Give the gradient to a node's output: what is stored of it, summed by a pass where there are several."""
        pending = self.written_gradients.get(layer.name, [])
        if len(pending) < 2 or layer.name not in self.trained or self._lies_apart(layer.name):
            return pending
        event = Event([layer.name], "gradient_sum", "backward", prod(layer.shape), reads=list(pending), window=0)
        event.added = list(pending)
        key = ("grad", layer.name, layer.name)
        self.shapes[key] = layer.shape
        event.writes = [key]
        self.events.append(event)
        return [key]

    def _lies_apart(self, name: str) -> bool:
        """Tell whether all readers are parts of one axis, no two of which share a place."""
        parts = self.readers[name]
        if any(part.kind != "split" for part in parts):
            return False
        taken: list[int] = []
        for part in parts:
            sizes, number = part.fields["sizes"], part.fields["part"]
            taken += range(sum(sizes[:number]), sum(sizes[: number + 1]))
        return len({part.fields["axis"] for part in parts}) == 1 and len(set(taken)) == len(taken)


@dataclass(frozen=True)
class PassMachine:
    """Describe what passes need to know of a machine."""

    groups: int
    elements_per_cycle: int | None
    bytes_per_cycle: int | None
    latency_cycles: int
    bytes_per_port_cycle: int
    data_bits: int
    capacity_bytes: int | None
    fuses: bool


@dataclass(frozen=True)
class PassResult:
    """Give what a pass is told to take."""

    name: str
    kind: str
    step: str
    elements: int
    read_bytes: int
    write_bytes: int
    saved_bytes: int
    cycles: int
    accesses: int


class Sizes:
    """Give the bytes of every stored tensor."""

    def __init__(self, iteration: Iteration, steps: Mapping[str, StepTensors], data_bits: int) -> None:
        self.iteration, self.steps, self.data_bits = iteration, steps, data_bits

    def give(self, tensor: Key | Part) -> int:
        """Give the bytes of a tensor, or of a part in proportion to its elements."""
        if isinstance(tensor, Part):
            whole = prod(self.shape(tensor.key))
            return divide_up(self.give(tensor.key) * tensor.elements, whole)
        found = self._find_step(self.iteration.step_writes.get(tensor))
        if found is not None:
            return found
        layer = self.iteration.layers.get(tensor[1])
        if tensor[0] == "out" and layer is not None and layer.kind == "concat":
            return sum(self.give(self.iteration.resolve(name)) for name in layer.inputs)
        found = self._find_read(tensor)
        if found is None and tensor[0] == "out":
            found = self._find_share(tensor[1])
        return self.size_raw(self.shape(tensor)) if found is None else found

    def shape(self, key: Key) -> tuple[int, ...]:
        """Give the shape of what is stored under a key."""
        return self.iteration.shapes.get(key) or self.iteration._shape_of(key[1])

    def size_raw(self, shape: tuple[int, ...]) -> int:
        """Give the bytes of raw rows."""
        return prod(shape[:-1]) * divide_up(shape[-1] * self.data_bits, 8)

    def _find_step(self, place: tuple[str, str] | None) -> int | None:
        return None if place is None else getattr(self.steps[place[0]], place[1])

    def _find_read(self, key: Key) -> int | None:
        for name, column, number in self.iteration.step_reads.get(key, []):
            found = getattr(self.steps[name], column)
            if found is not None:
                return found[number] if isinstance(found, tuple) else int(found)
        return None

    def _find_share(self, name: str) -> int | None:
        iteration = self.iteration
        for reader in iteration.layers.values():
            sources = [iteration.resolve(source) for source in reader.inputs]
            if reader.kind == "concat" and ("out", name) in sources:
                whole = self._find_read(("out", reader.name))
                whole = self._find_share(reader.name) if whole is None else whole
                if whole is not None:
                    return divide_up(whole * prod(iteration.layers[name].shape), prod(reader.shape))
        return None


def run_passes(
    layers: Iterable[Layer], steps: Mapping[str, StepTensors], machine: PassMachine, copied: Collection[str] = ()
) -> list[PassResult]:
    """Run the passes of an iteration in their order."""
    iteration = Iteration(layers, copied)
    sizes = Sizes(iteration, steps, machine.data_bits)
    chains = [[event] for event in iteration.events]
    if machine.fuses:
        chains = fuse(iteration, machine)
    return [run_chain(chain, sizes, machine) for chain in chains if chain[0].is_pass]


def fuse(iteration: Iteration, machine: PassMachine) -> list[list[Event]]:
    """Join passes that run as one."""
    chains: list[list[Event]] = []
    for event in iteration.events:
        if chains and can_join(iteration, chains[-1], event, machine):
            chains[-1].append(event)
        else:
            chains.append([event])
    return chains


def can_join(iteration: Iteration, chain: list[Event], event: Event, machine: PassMachine) -> bool:
    """Tell whether a pass runs with those before it."""
    before = chain[-1]
    if not (before.is_pass and event.is_pass) or event.window is None or len(before.writes) != 1:
        return False
    if (
        before.written_beside_bytes
        or before.step == "loss"
        or (before.step == "backward") != (event.step == "backward")
    ):
        return False
    (key,) = before.writes
    if key not in event.reads or is_read_elsewhere(iteration, key, event):
        return False
    pairs = [*zip(chain, [*chain[1:], event], strict=True)]
    held = sum(hold(iteration, one.writes[0], other, machine.data_bits) for one, other in pairs)
    return machine.capacity_bytes is None or held <= machine.capacity_bytes


def hold(iteration: Iteration, key: Key, event: Event, data_bits: int) -> int:
    """Count the bytes of the rows that a pass holds of what it is handed."""
    rows = 0 if key in event.added else event.window or 0
    return rows * divide_up(iteration.shapes[key][-1] * data_bits, 8)


def is_read_elsewhere(iteration: Iteration, key: Key, event: Event) -> bool:
    """Tell whether another step or pass reads a tensor, a part of it, or a ReLU's mask off it."""
    for other in iteration.events:
        for tensor in other.reads:
            if (isinstance(tensor, Part) and tensor.key == key) or (tensor == key and other is not event):
                return True
    if key[0] != "out":
        return False
    joined = [layer for layer in iteration.layers.values() if layer.kind == "concat" and key[1] in layer.inputs]
    needs_mask = key[1] in iteration.rectified & iteration.trained and event.kind not in TELLING_MASKS
    return bool(joined) or needs_mask


def run_chain(chain: list[Event], sizes: Sizes, machine: PassMachine) -> PassResult:
    """Give what a pass takes, or several that run as one."""
    read_bytes, saved_bytes, handed = 0, 0, None
    for event in chain:
        for tensor in event.reads:
            if handed is not None and tensor == handed:
                saved_bytes += sizes.give(tensor)
            else:
                read_bytes += sizes.give(tensor)
        if event is not chain[-1]:
            handed = event.writes[0]
            saved_bytes += sizes.give(handed)
        read_bytes += event.read_beside_bytes + divide_up(event.target_elements * machine.data_bits, 8)
    write_bytes = sum(sizes.give(key) for key in chain[-1].writes) + chain[-1].written_beside_bytes
    elements = sum(event.elements for event in chain)
    rate = machine.elements_per_cycle
    ppu_cycles = 0 if rate is None else divide_up(elements, machine.groups * rate)
    moved = [size for size in (read_bytes, write_bytes) if size]
    bandwidth = machine.bytes_per_cycle
    transfers = sum(0 if bandwidth is None else divide_up(size, bandwidth) for size in moved)
    dram_cycles = machine.latency_cycles + transfers if moved else 0
    is_one = len(chain) == 1
    return PassResult(
        chain[0].names[0] if is_one else "+".join(name for event in chain for name in event.names),
        chain[0].kind if is_one else "fused",
        chain[-1].step,
        elements,
        read_bytes,
        write_bytes,
        saved_bytes,
        max(ppu_cycles, dram_cycles),
        sum(divide_up(size, machine.bytes_per_port_cycle) for size in (read_bytes, write_bytes)),
    )
