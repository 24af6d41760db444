"""Words on the terminal that come from files and names: they cannot steer it."""

from __future__ import annotations

import click

from workloads.words import make_printable


def say(words: str, *, err: bool = False) -> None:
    """Print words on lines of their own.

    Args:
        err: On stderr.
    """
    click.echo(escape_lines(words), err=err)


def escape_lines(text: str) -> str:
    """Write what cannot be printed as escapes, line by line."""
    return "\n".join(make_printable(line) for line in text.split("\n"))
