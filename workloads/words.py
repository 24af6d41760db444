"""Words from outside made fit for a sentence: printable, and of a bounded length."""

from __future__ import annotations

from collections.abc import Iterable

MESSAGE_CHARACTERS = 600
LIST_CHARACTERS = 300
_GAP = " [...] "


def make_printable(text: str) -> str:
    r"""Write what cannot be printed in one line as escapes such as ``\n``, ``\x1b`` and ``\u202e``.

    Those are control characters, line ends, marks that turn the direction of writing, and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def make_sentence(text: str, limit: int = MESSAGE_CHARACTERS) -> str:
    """Make a message one printable line; of one that is too long the middle is left out."""
    # Cut before and after, since an escape is longer than what it stands for, and a value may be huge.
    return _cut_middle(make_printable(_cut_middle(text, limit)), limit)


def tell_pattern(pattern: str) -> str:
    """Say of a pattern that matches nothing that it is one, where it looks like a list of names."""
    return ", which is one pattern (of *, ?, [ab] and [0-9]) and no list" if "," in pattern else ""


def list_words(words: Iterable[object], limit: int = LIST_CHARACTERS) -> str:
    """List words as ``a, b, c``; those that do not fit are counted: ``a, b, ... and 98 more``."""
    everything = [str(word) for word in words]
    shown, length = 0, 0
    for word in everything:
        length += len(word) + 2
        if length > limit and shown:
            break
        shown += 1
    listed = ", ".join(everything[:shown])
    return listed if shown == len(everything) else f"{listed}, ... and {len(everything) - shown} more"


def write_pair(sizes: tuple[int, int]) -> str:
    """Write one number where both are equal, else ``[height, width]``."""
    return str(sizes[0]) if sizes[0] == sizes[1] else f"[{sizes[0]}, {sizes[1]}]"


def write_padding(padding: tuple[int, int, int, int]) -> str:
    """Write a padding as shortly as a form takes it: one number, ``[height, width]``, or all four sides."""
    top, left, bottom, right = padding
    return write_pair((top, left)) if (top, left) == (bottom, right) else f"[{top}, {left}, {bottom}, {right}]"


def _cut_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    head = 2 * (limit - len(_GAP)) // 3
    return text[:head] + _GAP + text[len(text) - (limit - len(_GAP) - head) :]
