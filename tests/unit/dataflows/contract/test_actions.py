"""Actions that a dataflow declares: how often each was done, and what is no declaration."""

from __future__ import annotations

import pytest

from dataflows.contract.actions import Action, Composition, PartCount, PriceFigure, list_counted, resolve_counts

READS = Action("operand_store_reads", "words", "Words read.", per_multiplication=2)
PAIRS = Action("pairs", "pairs", "Pairs looked at.", PriceFigure(0.5, "assumed: a comparison", assumed=True))


def test_an_action_is_counted_by_the_dataflow_or_follows_from_the_multiplications() -> None:
    assert list_counted((READS, PAIRS)) == ("pairs",)
    assert resolve_counts((READS, PAIRS), 7, {"pairs": 3}) == {"operand_store_reads": 2 * 7, "pairs": 3}


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ({}, "the dataflow declares the action 'pairs' and does not count it"),
        ({"pairs": -1}, "the dataflow counts -1 of 'pairs'; a count must not be negative"),
        (
            {"pairs": 1, "steps": 1},
            "the dataflow counts 'steps', which it does not declare as an action that is counted",
        ),
    ],
)
def test_counts_that_do_not_fit_the_declaration_are_refused(counted: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match="^" + words + "$"):
        resolve_counts((READS, PAIRS), 7, counted)


def test_a_price_needs_parts_or_a_figure_with_its_source() -> None:
    with pytest.raises(ValueError, match="at least one part"):
        Composition((), "nothing")
    with pytest.raises(ValueError, match="and words in `derived`"):
        Composition((PartCount("int32_adder"),), " ")
    with pytest.raises(ValueError, match="a finite figure of at least 0 pJ and a source"):
        PriceFigure(1.0, "")
    with pytest.raises(ValueError, match="a letter first, got '2x'"):
        Action("2x", "", "No column can have this name.")
