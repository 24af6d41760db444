from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.errors import InputError
from workloads.yaml_file import dump_yaml, load_yaml, parse_yaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=12)
    | st.sampled_from(["1e5", "0o17", "0x1F", "no", "yes", "1_000", "12:30", "2020-01-01", "~", "null", "<<", "="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "no", "1e5", "b c"]), inner),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("+3", 3), ("010", 10), ("0o10", 8), ("0x1f", 31),
        ("1.5", 1.5), ("1e-5", 1e-5), (".5", 0.5), ("2.", 2.0), ("-1E+2", -100.0), (".inf", float("inf")),
        ("-.Inf", float("-inf")), ("true", True), ("FALSE", False), ("null", None), ("~", None), ("", None),
        ("no", "no"), ("on", "on"), ("1_000", "1_000"), ("12:30", "12:30"), ("2020-01-01", "2020-01-01"),
        ("0b11", "0b11"), ("'12'", "12"), ('"true"', "true"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_a_plain_value_is_read_by_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(f"field: {text}\n", "x").data["field"]
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such() -> None:
    read = parse_yaml("field: .nan\n", "x").data["field"]
    assert read != read


def test_every_part_of_a_file_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text("# a comment\nname: a\n\nlayers:\n  - {kernel: [1,\n     2]}\n  - kernel:\n      3\n")
    document = load_yaml(path)
    assert document.data == {"name": "a", "layers": [{"kernel": [1, 2]}, {"kernel": 3}]}
    assert document.lines == {
        (): 2,
        ("name",): 2,
        ("layers",): 4,
        ("layers", 0): 5,
        ("layers", 0, "kernel"): 5,
        ("layers", 0, "kernel", 0): 5,
        ("layers", 0, "kernel", 1): 6,
        ("layers", 1): 7,
        ("layers", 1, "kernel"): 7,
    }
    assert document.label == str(path)
    assert document.text == path.read_text()


def test_a_path_that_the_file_does_not_hold_is_placed_at_what_is_around_it() -> None:
    document = parse_yaml("a:\n  - name: first\n    b: {c: 1}\n", "net.yaml")
    assert document.place(("a", 0, "b", "d")) == "net.yaml, line 3: a[0] 'first' b.d"
    assert document.place(("a", 0)) == "net.yaml, line 2: a[0] 'first'"
    assert document.place(("e",)) == "net.yaml, line 1: e"
    assert document.place(()) == "net.yaml, line 1"


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\r\nbatch: 2\r\n")
    assert load_yaml(path).data == {"name": "a", "batch": 2}


def test_windows_line_ends_count_as_one_line() -> None:
    assert parse_yaml("a: 1\r\nb: 2\r\n", "x").lines[("b",)] == 2


@given(data=st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1, max_size=5), PLAIN, min_size=1))
def test_what_is_dumped_is_read_back_equal(data: dict[str, object]) -> None:
    assert parse_yaml(dump_yaml(data), "x").data == data


def test_a_list_that_stands_twice_is_dumped_without_an_alias() -> None:
    shared = [1, 2]
    assert dump_yaml({"a": shared, "b": shared}) == "a: [1, 2]\nb: [1, 2]\n"


def test_nesting_up_to_the_limit_is_read() -> None:
    # The top mapping is level 0; its value at level 1 opens the first of the brackets.
    assert parse_yaml("a: " + "[" * 32 + "]" * 32, "x").data["a"] is not None
    with pytest.raises(InputError) as caught:
        parse_yaml("a: " + "[" * 33 + "]" * 33, "x")
    assert str(caught.value) == "x, line 1: nested deeper than 32 levels"


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    content = b"name: a\n"
    path.write_bytes(content + b"#" * (4 * 2**20 - len(content)))
    assert load_yaml(path).data == {"name": "a"}


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        load_yaml("a\0b.yaml")
    assert str(caught.value) == "a\\x00b.yaml: cannot be read: embedded null byte"


def test_an_unfinished_quotation_is_placed_at_both_ends() -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml('name: "a\nbatch: 2\n', "x")
    assert str(caught.value) == (
        "x, line 3: not valid YAML: found unexpected end of stream while scanning a quoted scalar that begins on line 1"
    )
