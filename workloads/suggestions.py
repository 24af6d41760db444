"""What a user may have meant: suggestions for typing errors, never for another thing."""

from __future__ import annotations

from collections.abc import Iterable

# Operations that other frameworks have, each a letter or two from one that is here.
OTHER_OPERATIONS = frozenset({
    "avg_pool1d", "avg_pool3d", "batch_norm1d", "batch_norm3d", "bilinear", "celu", "conv", "conv1d", "conv3d", "crelu",
    "deconv2d", "depthwise_conv2d", "dropout1d", "dropout2d", "dropout3d", "elu", "gelu", "glu", "group_norm",
    "instance_norm", "instance_norm1d", "instance_norm3d", "layer_norm", "leaky_relu", "lp_pool", "max_pool1d",
    "max_pool3d", "max_unpool", "min_pool", "mish", "mul", "nonlinear", "pad", "prelu", "relu6", "rms_norm", "rrelu",
    "selu", "silu", "softmax", "softmin", "softplus", "sub", "sum_pool", "swiglu", "swish", "unflatten", "upsample",
})  # fmt: skip
LONG_NAME = 6
LONGEST_NAME = 128


def did_you_mean(given: object, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'stride'?`` where what was given looks like an allowed word mistyped, else nothing.

    One letter left out, doubled, exchanged or in its neighbour's place; two of them in names of six letters or more.
    Other digits are another thing, as conv3d is not conv2d, and so are the names of other operations.
    """
    if not isinstance(given, str) or len(given) > LONGEST_NAME or _normal(given) in OTHER_OPERATIONS:
        return ""
    found = [(count_edits(_normal(given), _normal(word)), word) for word in allowed if _is_near(given, word)]
    near = [(edits, word) for edits, word in found if edits <= _allowed_edits(given)]
    return f"; did you mean '{min(near, key=lambda pair: pair[0])[1]}'?" if near else ""


def count_edits(first: str, second: str) -> int:
    """Count the letters to insert, delete, exchange or swap with a neighbour to get from one word to the other."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, 1):
        previous, before, row = before, row, [place]
        for at, other in enumerate(second, 1):
            edits = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (letter != other))
            if place > 1 and at > 1 and letter == second[at - 2] and first[place - 2] == other:
                edits = min(edits, previous[at - 2] + 1)
            row.append(edits)
    return row[-1]


def _allowed_edits(given: str) -> int:
    return 2 if len(given) >= LONG_NAME else int(len(given) > 2)


def _is_near(given: str, word: str) -> bool:
    """Tell cheaply whether two words may be one: about as long, and with the same digits where both have some."""
    digits, others = _digits(given), _digits(word)
    return abs(len(given) - len(word)) <= 2 and (digits == others or not digits or not others)


def _digits(word: str) -> list[str]:
    return sorted(letter for letter in word if letter.isdigit())


def _normal(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")
