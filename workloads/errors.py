"""The one error that a user's input can cause."""

from __future__ import annotations

from workloads.words import make_sentence


class InputError(ValueError):
    """What was given cannot be used; the message is one sentence that names the place, what was given, what is allowed.

    The command line prints the message and exits with code 2. What cannot be printed is escaped in it, and what is too
    long for a terminal is cut, wherever the words came from.
    """

    def __init__(self, message: str) -> None:
        super().__init__(make_sentence(message))
