"""Words from outside reach a message printable and bounded."""

from __future__ import annotations

import pickle

import pytest

from workloads.errors import InputError
from workloads.words import list_words, make_printable, make_sentence


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain words, größer, 層", "plain words, größer, 層"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\rb\tc\0d\x7f", r"a\rb\tc\x00d\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\u2066\ufeff", r"\u2028\u2066\ufeff"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_cannot_be_printed_is_escaped(given: str, shown: str) -> None:
    assert make_printable(given) == shown
    assert str(InputError(given)) == shown


def test_of_a_long_message_the_middle_is_left_out() -> None:
    assert make_sentence("a" * 40 + "b" * 10**6 + "c" * 20, limit=37) == "a" * 20 + " [...] " + "c" * 10
    assert len(str(InputError("\x1b" * 10**6))) == 600


def test_a_message_of_the_full_length_is_kept_whole() -> None:
    assert make_sentence("a" * 600) == "a" * 600


def test_words_that_do_not_fit_a_list_are_counted() -> None:
    assert list_words(["a", "b", "c"]) == "a, b, c"
    assert list_words([f"n{place}" for place in range(100)], limit=12) == "n0, n1, n2, ... and 97 more"
    assert list_words(["long" * 100, "b"], limit=10) == "long" * 100 + ", ... and 1 more"


def test_the_error_reaches_another_process_with_its_sentence() -> None:
    assert str(pickle.loads(pickle.dumps(InputError("a\nb")))) == r"a\nb"
