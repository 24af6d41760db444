"""What a refusal of bad input looks like, whatever the input is."""

from __future__ import annotations

from cli.command import Outcome

LONGEST_SENTENCE = 800


def find_flaw(outcome: Outcome, *names: str) -> str | None:
    """Say why an outcome is no refusal in one sentence that names the file; None where it is."""
    lines = outcome.stderr.splitlines()
    if outcome.exit_code != 2:
        return f"exit code {outcome.exit_code}"
    if outcome.stdout or len(lines) != 1 or not lines[0].startswith("sparsetrain: "):
        return f"not one sentence: {outcome.stdout!r} {outcome.stderr!r}"
    if not lines[0].isprintable() or len(lines[0]) > LONGEST_SENTENCE or "Traceback" in lines[0]:
        return f"not a readable sentence: {outcome.stderr[:2000]!r}"
    return None if all(name in lines[0] for name in names) else f"does not name {names}: {lines[0]}"
