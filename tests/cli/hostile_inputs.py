"""Families of hostile inputs: networks, YAML, tables and options that are too large, or that steer a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.malformed_inputs import OPERANDS, WORKLOAD

STEERING = {
    "escape": "\x1b[31mred\x1b[0m", "line end": "a\nb", "carriage return": "a\rb", "bell": "a\x07b",
    "eight bits": "\x9b31m", "turned": "\u202egnp.exe", "isolate": "\u2066x\u2069", "separator": "a\u2028b",
    "null": "a\0b", "surrogate": "a\udcffb",
}  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """One input: `write` puts its files into a folder and returns the command's arguments."""

    name: str
    write: Callable[[Path], list[str]]


def put(folder: Path, name: str, content: bytes | str) -> Path:
    """Write a file, and the folders around it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)
    return path


def simulate_text(text: str) -> Callable[[Path], list[str]]:
    """Simulate a workload of this text."""

    def write(folder: Path) -> list[str]:
        put(folder, "net.yaml", text)
        return ["simulate", "net.yaml"]

    return write


def simulate_with(*options: str, **files: bytes | str) -> Callable[[Path], list[str]]:
    """Simulate a sound workload with options; files beside it have a dot for two underscores."""

    def write(folder: Path) -> list[str]:
        put(folder, "net.yaml", WORKLOAD)
        for name, content in files.items():
            put(folder, name.replace("__", "."), content)
        return ["simulate", "net.yaml", *options]

    return write


def list_networks() -> Iterator[Hostile]:
    """Networks that are too large in one of the ways in which a short file can be."""
    head = "name: big\nbatch: BATCH\ninput: {channels: 3, height: 8, width: 8}\n"
    conv = "{name: c, type: conv2d, out_channels: WIDE, kernel: 3, padding: PAD}"
    for batch, wide, pad in (
        (2**20, 2**10, 1), (2**24, 64, 1), (1, 2**24, 1), (2**14, 2**14, 1), (1, 4, 2**16), (2**16, 4, 2**10),
        (2**13, 2**11, 1), (2**24, 1, 0), (2**21, 8, 0),
    ):  # fmt: skip
        text = f"{head}layers:\n  - {conv}\n{OPERANDS}".replace("BATCH", str(batch))
        text = text.replace("WIDE", str(wide)).replace("PAD", str(pad))
        yield Hostile(f"batch {batch}, {wide} channels, padding {pad}", simulate_text(text))
    for features in (2**20, 2**22, 2**24):
        text = head.replace("BATCH", "1") + (
            "layers:\n  - {name: flat, type: flatten}\n  - {name: fc1, type: linear, out_features: 2048}\n"
            f"  - {{name: fc, type: linear, out_features: {features}}}\n{OPERANDS}"
        )
        yield Hostile(f"{features} features", simulate_text(text))
    block = "blocks:\n  b: {layers: [{name: c, type: relu}]}\nlayers:\n"
    for repeat in (5001, 10_000, 10**5, 10**30):
        use = f"  - {{name: s, block: b, repeat: {repeat}}}\n"
        yield Hostile(f"a block {repeat} times", simulate_text(head.replace("BATCH", "1") + block + use + OPERANDS))
    for depth, repeat in ((4, 10), (6, 5), (13, 2), (3, 100), (20, 1)):
        blocks = "".join(
            f"  b{level}: {{layers: [{{name: n, block: b{level + 1}, repeat: {repeat}}}]}}\n" for level in range(depth)
        )
        text = f"blocks:\n{blocks}  b{depth}: {{layers: [{{name: c, type: relu}}]}}\n"
        uses = "layers:\n  - {name: s, block: b0, repeat: 3}\n"
        yield Hostile(f"blocks {depth} deep, {repeat} each", simulate_text(head.replace("BATCH", "1") + text + uses))
    fields = "[" + "1, " * 2000 + "1]"
    text = f"blocks:\n  b: {{layers: [{{name: c, type: relu, x: {fields}}}]}}\n"
    text += "layers:\n  - {name: s, block: b, repeat: 900}\n"
    yield Hostile("a block of many fields", simulate_text(head.replace("BATCH", "1") + text))
    many = "".join(f"  - {{name: r{number}, type: relu}}\n" for number in range(5001))
    yield Hostile("many layers", simulate_text(head.replace("BATCH", "1") + "layers:\n" + many))


def list_yaml_texts() -> Iterator[Hostile]:
    """YAML that is deep, wide, self-referring or steering."""
    for depth in (33, 1000, 5_000):
        yield Hostile(f"lists {depth} deep", simulate_text("a: " + "[" * depth))
        yield Hostile(f"mappings {depth} deep", simulate_text("a: " + "{b: " * depth))
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    yield Hostile("a billion laughs", simulate_text("l0: &l0 [ha]\n" + laughs))
    yield Hostile("a merge of aliases", simulate_text("a: &a {b: 1}\nc: {<<: [*a, *a]}\n"))
    yield Hostile("a list of itself", simulate_text("a: &a [*a]\n"))
    yield Hostile("a huge number", simulate_text("batch: " + "9" * 10**5))
    yield Hostile("a huge float", simulate_text("batch: 1e" + "9" * 60))
    yield Hostile("a huge key", simulate_text("k" * 10**3 + ": 1\n"))
    yield Hostile("a huge quoted key", simulate_text('"' + "k" * 900 + '": 1\n'))
    yield Hostile("a huge value", simulate_text(WORKLOAD.replace("batch: 2", "batch: " + "x" * 10**5)))
    yield Hostile("a huge type", simulate_text(WORKLOAD.replace("type: relu", "type: " + "x" * 10**5)))
    yield Hostile("a huge list", simulate_text(WORKLOAD.replace("batch: 2", "batch: [" + "1, " * 20_000 + "1]")))
    for what, text in STEERING.items():
        if what == "surrogate":
            continue
        quoted = '"' + "".join(f"\\U{ord(letter):08x}" for letter in text) + '"'
        for name, old, new in (
            ("name", "name: small", f"name: {quoted}"),
            ("key", "batch: 2", f"{quoted}: 2"),
            ("layer", "name: relu1", f"name: {quoted}"),
            ("kind", "type: relu", f"type: {quoted}"),
            ("input", "type: relu", f"type: relu, inputs: [{quoted}]"),
            ("source", "synthetic", quoted),
        ):
            yield Hostile(f"a {name} with {what}", simulate_text(WORKLOAD.replace(old, new, 1)))
    for kind in ("mish", "conv3d", "softmin", "lstm", "batchnorm3d", "max_unpool"):
        yield Hostile(f"the kind {kind}", simulate_text(WORKLOAD.replace("type: relu", f"type: {kind}")))


def list_profiles() -> Iterator[Hostile]:
    """Profiles in CSV."""
    workload = WORKLOAD.replace("source: synthetic", "source: profile, path: own.csv")
    for what, text in {
        "no columns": "\n", "many columns": ",".join(f"c{n}" for n in range(5_000)) + "\n",
        "a quote": 'layer,"tensor\n',
        "a huge cell": "layer,tensor,density\n" + "x" * 10**5 + ",output,0.5\n", "a huge header": "x" * 10**5 + "\n",
        "a huge number": "layer,tensor,density\nconv1,output," + "9" * 10**4 + "\n", "binary": "layer\0tensor\n",
        "many figures": "layer,tensor," + ",".join(f"zeros_{n}" for n in range(5000)) + "\n",
        **{f"a layer with {name}": f'layer,tensor,density\n"{word}",output,0.5\n' for name, word in STEERING.items()},
    }.items():  # fmt: skip
        yield Hostile(f"a profile with {what}", lambda folder, t=text: simulate_text(workload)(
            put(folder, "own.csv", t).parent))  # fmt: skip


def list_options() -> Iterator[Hostile]:
    """Options that steer, or that are far too long."""
    for option in ("--layers", "--steps", "--arch", "--baseline", "--set", "--operands", "--engine", "--sample",
                   "--memory-limit", "--batch", "--xyz", "--trace-window"):  # fmt: skip
        for what, text in STEERING.items():
            yield Hostile(f"{option} with {what}", simulate_with(option, text))
        yield Hostile(f"a long {option}", simulate_with(option, "x" * 5000))
    for what, text in STEERING.items():
        yield Hostile(f"a command with {what}", lambda folder, t=text: [str(folder and t)])
        yield Hostile(f"a file's name with {what}", lambda folder, t=text: [folder and "simulate", f"./{t}.yaml"])
        yield Hostile(f"a file to validate with {what}", lambda folder, t=text: [folder and "validate", f"./{t}.yaml"])
    for batch in (2**20, 2**22, 2**24):
        yield Hostile(f"--batch {batch}", lambda folder, b=batch: [folder and "simulate", "lenet5", "--batch", str(b)])
        yield Hostile(
            f"--batch {batch} of vgg16, sampled",
            lambda folder, b=batch: [folder and "simulate", "vgg16", "--batch", str(b), "--sample", "auto"],
        )


INPUT_FAMILIES = (list_networks, list_yaml_texts, list_profiles, list_options)
