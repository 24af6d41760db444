from __future__ import annotations

import pytest

from sim.sweep.expression import parse_expression
from workloads.errors import InputError

VALUES = {"array.groups": 6, "a": 2, "share": 0.5, "kind": "lpddr4", "on": True, "none": None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("array.groups * a <= 12", 6 * 2 <= 12),
        ("array.groups * a < 12", False),
        ("1 < a <= 2 < array.groups", True),
        ("array.groups % 4 == 2 and not a == 3", True),
        ("a > 5 or share == 0.5", True),
        ("min(a, array.groups, 3) + max(1, 2) - abs(-4)", 2 + 2 - 4),
        ("-a ** 2 + array.groups // 4 / 2", -(2**2) + 6 // 4 / 2),
        ("kind == 'lpddr4'", True),
        ("on == true", True),
        ("none == null", True),
    ],
)
def test_an_expression_is_computed(text: str, value: object) -> None:
    assert parse_expression(text, "here").evaluate(VALUES) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "a.__class__()", "(lambda: 1)()", "[a for a in b]", "a if on else 2", "a[0]", "{1: 2}",
        "a := 3", "f'{a}'", "print(a)", "min(*a)", "min(a, key=a)", "a & 3", "a << 99", "~a", "b'x'", "1j", "a is on",
        "a in kind", "a; a", "", "a <", "import os", "yield", "await a", "...",
    ],
)  # fmt: skip
def test_whatever_is_no_plain_expression_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: .*; allowed are names such as"):
        parse_expression(text, "here")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a / 0", "division by zero"),
        ("a ** 65", "the exponent 65 is beyond 64"),
        ("(9 ** 64) ** 64", "the result is no number below 2**1024"),
        ("kind * 2", "'lpddr4' is not a number"),
        ("on + 1", "True is not a number"),
        ("a and on", "2 is neither true nor false"),
        ("none < 3", "'<' not supported between instances of 'NoneType' and 'int'"),
    ],
)
def test_what_cannot_be_computed_says_why(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_expression(text, "here").evaluate(VALUES)
    assert str(caught.value).startswith(f"here: {text!r} cannot be computed for ")
    assert str(caught.value).endswith(f": {reason}")


def test_a_very_long_or_deep_expression_is_refused() -> None:
    with pytest.raises(InputError, match="is longer than 1000 characters"):
        parse_expression("a+" * 600 + "a", "here")
    with pytest.raises(InputError, match="is not a condition"):
        parse_expression("(" * 400 + "a" + ")" * 400, "here")
