"""The start of the command `sparsetrain`: signals are answered before anything that takes time is imported."""

from __future__ import annotations

from reports.signals import SIGNALS


def main() -> None:
    """Run the command."""
    SIGNALS.install()
    from reports.cli import main as command

    command()
