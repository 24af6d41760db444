"""Malformed workloads and recordings, each with the one sentence that it must be answered with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workloads.kinds import KINDS
from workloads.presets import preset_names
from workloads.words import list_words

WORKLOAD = """\
name: small
batch: 2
input: {channels: 2, height: 6, width: 5}
layers:
  - {name: conv1, type: conv2d, out_channels: 3, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: [3, 2], stride: 2}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3, bias: false}
operands: {source: synthetic, seed: 1}
"""
OPERANDS = "operands: {source: synthetic, seed: 1}\n"


@dataclass(frozen=True)
class MalformedInput:
    """An input that must be refused.

    write: writes files into an empty folder and returns what the user names as the workload.
    message: the whole sentence; {path} stands for what `write` returned, {folder} for the folder, {presets} for the
        names of all presets.
    """

    name: str
    write: Callable[[Path], Path | str]
    message: str

    def expected(self, folder: Path, path: Path | str) -> str:
        """Return the message with its placeholders filled in."""
        filled = self.message.replace("{presets}", ", ".join(preset_names()))
        return filled.replace("{path}", str(path)).replace("{folder}", str(folder))


def from_text(name: str, text: str | bytes, message: str) -> MalformedInput:
    """Make a case whose workload file holds this text."""

    def write(folder: Path) -> Path:
        path = folder / "net.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return MalformedInput(name, write, message)


def from_edit(name: str, old: str, new: str, message: str) -> MalformedInput:
    """Make a case from the sound workload with one passage replaced; the message goes behind the file's path."""
    assert WORKLOAD.count(old) >= 1, old
    return from_text(name, WORKLOAD.replace(old, new, 1), "{path}" + message)


COUNT = "a whole number from 1 to 16777216"
SIZE = f"{COUNT} or a list of 2 entries, each {COUNT}"
NATURAL = "a whole number from 0 to 65536"
POOL_PADDING = f"{NATURAL} or a list of 2 entries, each {NATURAL}"
OWN_INPUT = (
    "a mapping of the fields channels, height, width or a mapping of the fields channels, length "
    "or a mapping of the fields features or a mapping of the fields tokens, channels"
)
SIDES = f"a list of 4 entries, each {NATURAL} or a mapping of the fields top, left, bottom, right"
PADDING = f"{POOL_PADDING} or {SIDES} or 'same'"
LAYER_NAME = r"text of the form [A-Za-z_][A-Za-z0-9_.\-]* of at most 128 characters"
WORKLOAD_NAME = r"text of the form [A-Za-z0-9_][A-Za-z0-9_.\-]* of at most 128 characters"
LAYER_KINDS = f"one of {list_words(map(repr, KINDS))}"
TOP_FIELDS = (
    "(the fields are name, description, batch, input, blocks, layers, operands, pruning, sparsify, rewrites, training, "
    "update, accumulate, recompute)"
)
CONV_FIELDS = (
    "(the fields are name, inputs, input, type, out_channels, kernel, stride, padding, dilation, groups, bias)"
)
INPUTS = f"a list of at least 1 entry, each {LAYER_NAME}"

FILE_CASES = (
    MalformedInput("no such file", lambda folder: folder / "net.yaml", "{path}: there is no such file"),
    MalformedInput("a folder", lambda folder: folder, "{path}: is a directory, not a YAML file"),
    MalformedInput(
        "an unknown preset",
        lambda folder: "lenett5",  # noqa: ARG005
        "'lenett5' is neither a file nor a preset; did you mean 'lenet5'? (the presets are {presets})",
    ),
    from_text("an empty file", "", "{path}: is empty; a mapping of fields is expected"),
    from_text("comments alone", "# nothing\n\n# here\n", "{path}: is empty; a mapping of fields is expected"),
    from_text("an empty document", "---\n...\n", "{path}: is empty; a mapping of fields is expected"),
    from_text("a list", "- a\n- b\n", "{path}, line 1: a mapping of fields is expected, got a list"),
    from_text("a single word", "\nlenet5\n", "{path}, line 2: a mapping of fields is expected, got a single value"),
    from_text("latin-1 text", b"name: a\ndescription: caf\xe9\n", "{path}, line 2: is not UTF-8 text"),
    from_text(
        "a control character", "name: a\nbatch: \x01\n", "{path}, line 2: the character U+0001 is not allowed in YAML"
    ),
    from_text(
        "too large a file",
        b"#" * (4 * 2**20 + 1),
        "{path}: is larger than 4194304 bytes, the most that a YAML file may have",
    ),
)

SYNTAX_CASES = (
    from_edit(
        "an open bracket",
        "batch: 2",
        "batch: [2",
        ", line 3: not valid YAML: expected ',' or ']', but got ':' while parsing a flow sequence that "
        "begins on line 2",
    ),
    from_edit(
        "a tab",
        "batch: 2",
        "batch: 2\n\tseed: 1",
        ", line 3: not valid YAML: found character '\\t' that cannot start any token while scanning for the next token",
    ),
    from_edit("two colons", "batch: 2", "batch: 2: 3", ", line 2: not valid YAML: mapping values are not allowed here"),
    from_edit("a key twice", "batch: 2", "batch: 2\nbatch: 3",
              ", line 3: the key 'batch' is given twice, first on line 2"),
    from_edit(
        "a layer's key twice", "type: relu", "type: relu, type: flatten",
        ", line 6: the key 'type' is given twice, first on line 6",
    ),
    from_text(
        "a YAML bomb",
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "{path}, line 1: the anchor &a is not allowed; write the value out where it is used",
    ),
    from_edit("an alias", "batch: 2", "batch: *size", ", line 2: the alias *size is not allowed; write the value out"),
    from_edit(
        "a python tag", "batch: 2", "batch: !!python/object/apply:os.system [ls]",
        ", line 2: the tag !!python/object/apply:os.system is not allowed; only plain values are",
    ),
    from_edit("a core tag", "batch: 2", "batch: !!int 2",
              ", line 2: the tag !!int is not allowed; only plain values are"),
    from_edit("a local tag", "batch: 2", "batch: !size 2",
              ", line 2: the tag !size is not allowed; only plain values are"),
    from_edit("a number as key", "batch: 2", "batch: 2\n3: 4",
              ", line 3: the key 3 must be text; quote it if it is meant"),
    from_edit("a list as key", "batch: 2", "batch: 2\n[a]: 4", ", line 3: a key must be text, got a list or a mapping"),
    from_edit("deep nesting", "batch: 2", "batch: " + "[" * 40 + "]" * 40, ", line 2: nested deeper than 32 levels"),
    from_text(
        "two documents", WORKLOAD + "---\nname: other\n",
        "{path}, line 11: a second YAML document starts here; a file holds one",
    ),
    from_edit("an endless number", "batch: 2", "batch: " + "9" * 5000,
              ", line 2: a number of 5000 characters is too long; 64 at most"),
    from_edit("half a surrogate pair", "name: small", 'name: "\\ud800"',
              ", line 1: half of a surrogate pair is not text"),
)  # fmt: skip

FIELD_CASES = (
    from_edit("no name", "name: small\n", "", f", line 1: name is missing; it must be {WORKLOAD_NAME}"),
    from_edit("a name with a slash", "small", "a/b", f", line 1: name must be {WORKLOAD_NAME}, got 'a/b'"),
    from_edit("a batch of zero", "batch: 2", "batch: 0", f", line 2: batch must be {COUNT}, got 0"),
    from_edit("a negative batch", "batch: 2", "batch: -1", f", line 2: batch must be {COUNT}, got -1"),
    from_edit("a batch in words", "batch: 2", "batch: two", f", line 2: batch must be {COUNT}, got 'two'"),
    from_edit("a fractional batch", "batch: 2", "batch: 2.0", f", line 2: batch must be {COUNT}, got 2.0"),
    from_edit("a true batch", "batch: 2", "batch: true", f", line 2: batch must be {COUNT}, got true"),
    from_edit("a missing value", "batch: 2", "batch:", f", line 2: batch must be {COUNT}, got null"),
    from_edit("a misspelt field", "batch: 2", "bach: 2",
              f", line 2: unknown field 'bach'; did you mean 'batch'? {TOP_FIELDS}"),
    from_edit("a foreign field", "batch: 2", "colour: red", f", line 2: unknown field 'colour' {TOP_FIELDS}"),
    from_edit("a merge key", "batch: 2", "<<: {batch: 2}", f", line 2: unknown field '<<' {TOP_FIELDS}"),
    from_edit("an input without width", ", width: 5", "", f", line 3: input.width is missing; it must be {COUNT}"),
    from_edit("an input as list", "{channels: 2, height: 6, width: 5}", "[2, 6, 5]",
              ", line 3: input must be a mapping of fields, got [2, 6, 5]"),
    from_edit("a misspelt input field", "height: 6", "hight: 6",
              ", line 3: input: unknown field 'hight'; did you mean 'height'? (the fields are channels, "
              "height, width)"),
    from_text("no layers", "name: a\ninput: {channels: 1, height: 1, width: 1}\nlayers: []\n",
              "{path}, line 3: layers must be a list of at least 1 entry, each a mapping of fields, got []"),
    from_edit("a layer as text", "{name: relu1, type: relu}", "relu",
              ", line 6: layers[1] must be a mapping of fields, got 'relu'"),
    from_edit("a layer without name", "name: relu1, ", "",
              f", line 6: layers[1]: name is missing; it must be {LAYER_NAME}"),
    from_edit("a layer name with a slash", "relu1", "re/lu",
              f", line 6: layers[1] 're/lu': name must be {LAYER_NAME}, got 're/lu'"),
    from_edit("a layer without type", ", type: relu", "",
              f", line 6: layers[1] 'relu1': type is missing; it must be {LAYER_KINDS}"),
    from_edit("an unknown type", "type: relu", "type: rellu",
              f", line 6: layers[1] 'relu1': type must be {LAYER_KINDS}, got 'rellu'; did you mean 'relu'?"),
    from_edit("a type that is a number", "type: relu", "type: 3",
              f", line 6: layers[1] 'relu1': type must be {LAYER_KINDS}, got 3"),
    from_edit("a field of another type", "type: relu", "type: relu, stride: 2",
              ", line 6: layers[1] 'relu1': unknown field 'stride' (the fields are name, inputs, input, type)"),
    from_edit("a misspelt required field", "out_channels: 3", "out_chanels: 3",
              f", line 5: layers[0] 'conv1': unknown field 'out_chanels'; did you mean 'out_channels'? {CONV_FIELDS}"),
    from_edit("a kernel of zero", "kernel: 3,", "kernel: 0,",
              f", line 5: layers[0] 'conv1': kernel must be {SIZE}, got 0"),
    from_edit("no kernel", "kernel: 3, ", "", f", line 5: layers[0] 'conv1': kernel is missing; it must be {SIZE}"),
    from_edit("a kernel of three sizes", "[3, 2]", "[3, 2, 1]",
              f", line 7: layers[2] 'conv2': kernel must be {SIZE}, got [3, 2, 1]"),
    from_edit("a negative kernel width", "[3, 2]", "[3, -2]",
              f", line 7: layers[2] 'conv2': kernel must be {SIZE}, got [3, -2]"),
    from_edit("three strides", "stride: 2", "stride: [2, 2, 2]",
              f", line 7: layers[2] 'conv2': stride must be {SIZE}, got [2, 2, 2]"),
    from_edit("a negative padding", "padding: 1", "padding: -1",
              f", line 5: layers[0] 'conv1': padding must be {PADDING}, got -1"),
    from_edit("a padding in capitals", "padding: 1", "padding: SAME",
              f", line 5: layers[0] 'conv1': padding must be {PADDING}, got 'SAME'; did you mean 'same'?"),
    from_edit("a padding of three sides", "padding: 1", "padding: [1, 1, 1]",
              f", line 5: layers[0] 'conv1': padding must be {PADDING}, got [1, 1, 1]"),
    from_edit("a padding of a misspelt side", "padding: 1", "padding: {tpo: 1}",
              f", line 5: layers[0] 'conv1': padding must be {PADDING}, got {{tpo: 1}}"),
    from_edit("a padding of an unknown word", "padding: 1", "padding: valid",
              f", line 5: layers[0] 'conv1': padding must be {PADDING}, got 'valid'"),
    from_edit("a dilation of nothing", "padding: 1", "dilation: 0",
              f", line 5: layers[0] 'conv1': dilation must be {SIZE}, got 0"),
    from_edit("a dilation beyond the image", "padding: 1", "dilation: [3, 2]",
              ", line 5: layers[0] 'conv1': the kernel of 3 x 3, dilated by [3, 2], is larger than the padded input of "
              "6 x 5; the input's shape is (2, 2, 6, 5)"),
    from_edit("a bias of the old YAML", "bias: false", "bias: no",
              ", line 9: layers[4] 'fc': bias must be true or false, got 'no'"),
    from_edit("a fractional size", "out_features: 3", "out_features: 3.5",
              f", line 9: layers[4] 'fc': out_features must be {COUNT}, got 3.5"),
    from_edit("inputs as text", "type: relu", "type: relu, inputs: conv1",
              f", line 6: layers[1] 'relu1': inputs must be {INPUTS}, got 'conv1'"),
    from_edit("no inputs", "type: relu", "type: relu, inputs: []",
              f", line 6: layers[1] 'relu1': inputs must be {INPUTS}, got []"),
    from_edit("a dropout of everything", "type: relu", "type: dropout, rate: 1",
              ", line 6: layers[1] 'relu1': rate must be a number of at least 0.0 and below 1.0, got 1"),
)  # fmt: skip

GRAPH_CASES = (
    from_edit("a layer name twice", "name: relu1", "name: conv1",
              ", line 6: layers[1] 'conv1': the name is taken by layers[0]; names must be unique"),
    from_edit("a layer named input", "name: relu1", "name: input",
              ", line 6: layers[1] 'input': the name 'input' stands for the network's input; choose another"),
    from_edit("an unknown layer", "type: relu", "type: relu, inputs: [conv9]",
              ", line 6: layers[1] 'relu1': inputs names 'conv9', which is no layer and not 'input' "
              "(the layers are conv1, relu1, conv2, flat, fc)"),
    from_edit("a layer that reads itself", "type: relu", "type: relu, inputs: [relu1]",
              ", line 6: layers[1] 'relu1': reads its own output; inputs must name other layers"),
    from_edit("a cycle", "type: relu", "type: add, inputs: [conv1, flat]",
              ", line 6: layers[1] 'relu1': the layers form a cycle: 'relu1' reads 'flat' reads 'conv2' reads 'relu1'"),
    from_edit("two inputs of one", "type: relu", "type: relu, inputs: [conv1, input]",
              ", line 6: layers[1] 'relu1': relu reads one layer, got 2 ('conv1', 'input'); join them by "
              "add or concat"),
    from_edit("an add of one", "type: relu", "type: add",
              ", line 6: layers[1] 'relu1': add reads two or more layers, got 1 ('conv1'); name them in inputs"),
    from_edit("an add of two shapes", "type: relu", "type: add, inputs: [conv1, input]",
              ", line 6: layers[1] 'relu1': an add's inputs must agree in each axis or have the length 1 there, "
              "but 'input' has (2, 2, 6, 5) where the others make (2, 3, 6, 5)"),
    from_edit("a concat of two sizes", "type: flatten", "type: concat, inputs: [relu1, conv2]",
              ", line 8: layers[3] 'flat': a concat's inputs may differ in channels only, "
              "but 'relu1' has (2, 3, 6, 5) and 'conv2' (2, 4, 2, 2)"),
    from_edit("a concat of rows with other columns", "type: flatten", "type: concat, axis: 2, inputs: [relu1, conv2]",
              ", line 8: layers[3] 'flat': a concat's inputs may differ in axis 2 only, "
              "but 'relu1' has (2, 3, 6, 5) and 'conv2' (2, 4, 2, 2)"),
    from_edit("a concat of more axes", "type: relu", "type: concat, axis: 4, inputs: [conv1, conv1]",
              ", line 6: layers[1] 'relu1': axis must be from 1 to 3 for an input of shape (2, 3, 6, 5), got 4"),
    *(
        from_edit(f"{fields} on an image", "type: relu", f"type: {fields}", f", line 6: layers[1] 'relu1': {message}")
        for fields, message in {
            "split, sizes: [1, 1], part: 0": "sizes must add up to 3, the length of axis 1 of an input of shape "
            "(2, 3, 6, 5), got [1, 1]",
            "split, sizes: [1, 2], part: 2": "part must be from 0 to 1, got 2",
            "reshape, shape: [7, -1]": "shape must hold the 90 elements of an image of shape (3, 6, 5), got [7, -1]",
            "transpose, axes: [1, 2]": "axes must hold each of [1, 2, 3] once, got [1, 2]; the input's shape is "
            "(2, 3, 6, 5)",
            "channel_shuffle, groups: 2": "groups must divide the channels of an input of shape (2, 3, 6, 5), got 2",
            "pixel_shuffle, upscale: 2": "upscale 2 needs channels that are a multiple of 4; the input's shape is "
            "(2, 3, 6, 5)",
            "flatten, start_axis: 5": "start_axis must be from 1 to 3 for an input of shape (2, 3, 6, 5), got 5",
            "upsample, scale: 2, align_corners: true": "align_corners is for mode: bilinear; the nearest neighbour has "
            "no corners to align",
            "upsample, scale: 16777216": "its output of shape (2, 3, 100663296, 83886080) would have more than "
            "2147483648 elements",
            "adaptive_avg_pool, output: 16777216": "its output of shape (2, 3, 16777216, 16777216) would have more "
            "than 2147483648 elements",
            "multiply, inputs: [conv1, input]": "a multiply's inputs must agree in each axis or have the length 1 "
            "there, but 'input' has (2, 2, 6, 5) where the others make (2, 3, 6, 5)",
        }.items()
    ),
    from_edit("a convolution on features", "type: linear, out_features: 3", "type: conv2d, out_channels: 3, kernel: 1",
              ", line 9: layers[4] 'fc': conv2d reads (batch, channels, height, width), but its input "
              "has the shape (2, 16)"),
    from_edit("another gelu", "type: relu", "type: gelu, approximate: erf",
              ", line 6: layers[1] 'relu1': approximate must be 'none' or 'tanh', got 'erf'"),
    from_edit("a leak of nothing", "type: relu", "type: leaky_relu, negative_slope: 0",
              ", line 6: layers[1] 'relu1': negative_slope must be a number above 0.0, got 0"),
    from_edit("a slope that is none", "type: relu", "type: prelu, init: .nan",
              ", line 6: layers[1] 'relu1': init must be a number, got nan"),
    from_edit("a normalisation over no axis", "type: relu", "type: layer_norm, axes: 0",
              f", line 6: layers[1] 'relu1': axes must be {COUNT}, got 0"),
    from_edit("a window without constant", "type: relu", "type: local_response_norm, size: 3, k: 0",
              ", line 6: layers[1] 'relu1': k must be a number above 0.0, got 0"),
    from_edit("groups that do not divide", "padding: 1", "padding: 1, groups: 2",
              ", line 5: layers[0] 'conv1': groups = 2 must divide the 2 input channels and the 3 filters; "
              "the input's shape is (2, 2, 6, 5)"),
    from_edit("groups that do not divide what is transposed", "type: conv2d, out_channels: 3, kernel: 3, padding: 1",
              "type: conv_transpose2d, out_channels: 3, kernel: 3, padding: 1, groups: 2",
              ", line 5: layers[0] 'conv1': groups = 2 must divide the 2 input channels and the 3 filters; "
              "the input's shape is (2, 2, 6, 5)"),
    from_edit("a kernel larger than its input", "[3, 2]", "[9, 2]",
              ", line 7: layers[2] 'conv2': the kernel of 9 x 2 is larger than the padded input of 6 x 5; "
              "the input's shape is (2, 3, 6, 5)"),
    from_edit("a pool larger than its input", "type: relu", "type: max_pool, kernel: 7",
              ", line 6: layers[1] 'relu1': the kernel of 7 x 7 is larger than the padded input of 6 x 5; "
              "the input's shape is (2, 3, 6, 5)"),
    from_edit("a pool padded by its kernel", "type: relu", "type: max_pool, kernel: 2, padding: 2",
              ", line 6: layers[1] 'relu1': the padding 2 must be smaller than the pooling kernel of 2 x 2"),
    from_edit("an unread layer", OPERANDS, "  - {name: aside, type: relu, inputs: [conv1]}\n"
              "  - {name: loss, type: softmax_cross_entropy, inputs: [fc]}\n" + OPERANDS,
              ", line 10: layers[5] 'aside': no layer reads its output; only the loss 'loss' may be unread"),
    from_edit("no input", "input: {channels: 2, height: 6, width: 5}\n", "",
              ", line 4: layers[0] 'conv1': reads the network's input, and there is none; give the workload or the "
              "layer one of input: {channels: C, height: H, width: W}"),
    from_edit("an input and inputs", "padding: 1}", "input: {features: 4}, inputs: [input]}",
              ", line 5: layers[0] 'conv1': has an input of its own and names inputs; one of both is possible"),
    from_edit("a loss in a list of layers", OPERANDS,
              "  - {name: loss, type: mean_squared_error, input: {features: 4}}\n" + OPERANDS,
              ", line 10: layers[5] 'loss': a loss has no input of its own; it reads what a network computes"),
    from_edit("features for a convolution", "padding: 1}", "input: {features: 4}}",
              ", line 5: layers[0] 'conv1': conv2d reads (batch, channels, height, width), but its input has the shape "
              "(2, 4)"),
    from_edit("an own input of two forms", "padding: 1}", "input: {features: 4, width: 2}}",
              f", line 5: layers[0] 'conv1': input must be {OWN_INPUT}, got {{features: 4, width: 2}}"),
    from_text("a network that reads no image", "name: a\ninput: {channels: 1, height: 2, width: 2}\nlayers:\n"
              "  - {name: p, type: parameter, shape: [4]}\n  - {name: fc, type: linear, out_features: 10}\n"
              "  - {name: loss, type: softmax_cross_entropy}\n"
              "operands: {source: host, dataset: fashion_mnist, seed: 1}\n",
              "{path}, line 7: operands: source host trains on images, and no layer reads the network's input"),
    from_text("a list of layers trained by the host", "name: a\nlayers:\n  - {name: fc, type: linear, "
              "out_features: 2, input: {features: 4}}\noperands: {source: host, dataset: fashion_mnist, seed: 1}\n",
              "{path}, line 4: operands: source host trains the network, and layers with inputs of their own are none; "
              "use source synthetic, recorded or profile"),
    from_edit("a layer after the loss", OPERANDS,
              "  - {name: loss, type: softmax_cross_entropy}\n  - {name: end, type: relu}\n",
              ", line 11: layers[6] 'end': reads the loss 'loss'; no layer can read a loss"),
    from_edit("an unread layer beside two losses", OPERANDS, "  - {name: loss, type: softmax_cross_entropy}\n"
              "  - {name: loss2, type: mean_squared_error, inputs: [fc]}\n"
              "  - {name: aside, type: relu, inputs: [conv1]}\n" + OPERANDS,
              ", line 12: layers[7] 'aside': no layer reads its output; only the losses loss, loss2 may be unread"),
    from_edit("a loss without weight", OPERANDS, "  - {name: loss, type: binary_cross_entropy, weight: 0}\n" + OPERANDS,
              ", line 10: layers[5] 'loss': weight must be a number above 0.0, got 0"),
    from_edit("a target of even parts", OPERANDS,
              "  - {name: loss, type: softmax_cross_entropy, label_smoothing: 1}\n" + OPERANDS,
              ", line 10: layers[5] 'loss': label_smoothing must be a number of at least 0.0 and below 1.0, got 1"),
    from_edit("a gigantic output", "padding: 1", "padding: 65536",
              ", line 5: layers[0] 'conv1': its output of shape (2, 3, 131076, 131075) "
              "would have more than 2147483648 elements"),
    from_text("nothing to accelerate",
              "name: a\ninput: {channels: 1, height: 1, width: 1}\nlayers:\n  - {name: r, type: relu}\n" + OPERANDS,
              "{path}, line 3: layers: no layer that is computed in steps (conv2d, conv1d, conv_transpose2d, linear, "
              "matmul), so there is nothing to accelerate"),
)  # fmt: skip

OPERAND_CASES = (
    from_edit("no operands", OPERANDS, "",
              ": no operands are given; add one of operands: {source: recorded, path: FILE.npz}, "
              "{source: synthetic, seed: 1} or {source: host, dataset: fashion_mnist, seed: 1}"),
    from_edit("an unknown source", "synthetic", "random",
              ", line 10: operands.source 'random' is not supported; the kinds are recorded, synthetic, host, profile"),
    from_edit("no source", "source: synthetic, ", "",
              ", line 10: operands.source is missing; it must be one of 'recorded', 'synthetic', 'host', 'profile'"),
    from_edit("operands as list", "{source: synthetic, seed: 1}", "[1]",
              ", line 10: operands must be a mapping of fields, got [1]"),
    from_edit("no seed", ", seed: 1", "",
              ", line 10: operands.seed is missing; it must be a whole number from 0 to 9223372036854775807"),
    from_edit("a negative seed", "seed: 1", "seed: -1",
              ", line 10: operands.seed must be a whole number from 0 to 9223372036854775807, got -1"),
    from_edit("a density above one", "seed: 1", "seed: 1, density: {input: 1.5}",
              ", line 10: operands.density.input must be a number from 0.0 to 1.0, got 1.5"),
    from_edit("a density that is no number", "seed: 1", "seed: 1, density: {weight: .nan}",
              ", line 10: operands.density.weight must be a number from 0.0 to 1.0, got nan"),
    from_edit("a misspelt density", "seed: 1", "seed: 1, density: {inputs: 0.5}",
              ", line 10: operands.density: unknown field 'inputs'; did you mean 'input'? "
              "(the fields are input, grad_output, weight)"),
    from_edit("two channels of images", "synthetic, seed: 1",
              "host, dataset: fashion_mnist, seed: 1, images: {channels: 2}",
              ", line 10: operands.images.channels must be 1 or 3, got 2"),
    from_edit("a std of zero", "synthetic, seed: 1", "host, dataset: fashion_mnist, seed: 1, images: {std: 0}",
              ", line 10: operands.images.std must be a number above 0.0 or "
              "a list of at least 1 entry, each a number above 0.0, got 0"),
    from_edit("an unknown dtype", "synthetic, seed: 1", "host, dataset: fashion_mnist, seed: 1, dtype: float46",
              ", line 10: operands.dtype must be 'float32' or 'float64', got 'float46'; did you mean 'float64'?"),
    from_edit("training without a loss", "synthetic, seed: 1", "host, dataset: fashion_mnist, seed: 1",
              ", line 10: operands: source host trains the network, which needs a loss; "
              "add a softmax_cross_entropy layer after 'fc'"),
)  # fmt: skip

MALFORMED_WORKLOADS = (*FILE_CASES, *SYNTAX_CASES, *FIELD_CASES, *GRAPH_CASES, *OPERAND_CASES)
