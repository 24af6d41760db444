"""The one error that a user's input can cause."""

from __future__ import annotations


class InputError(ValueError):
    """What was given cannot be used; the message is one sentence that names the place, what was given, what is allowed.

    The command line prints the message and exits with code 2.
    """
