"""Signals that end a command: one sentence, everything under way cleaned up, and the exit code that shells expect."""

from __future__ import annotations

import _thread
import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from types import FrameType
from typing import Any, NoReturn

SIGNAL_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
NOTHING_LEFT = "nothing is left half written"


class StoppedError(KeyboardInterrupt):
    """A signal came; like Ctrl-C, it unwinds whatever is under way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Phase(Enum):
    """What a signal does: ends the process at once, unwinds the command, or ends what is being unwound."""

    IDLE = auto()
    WORKING = auto()
    STOPPING = auto()


class Signals:
    """The answer of this process to the signals that end it; it does nothing until it is installed."""

    def __init__(self) -> None:
        self._phase = Phase.IDLE

    def install(self) -> None:
        """Answer from now on; what the parent chose to ignore, such as by `nohup`, stays ignored."""
        if threading.current_thread() is not threading.main_thread():
            return
        for name in SIGNAL_NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.answer)
        sys.unraisablehook = self.resend

    def answer(self, number: int, _: FrameType | None) -> None:
        """Unwind the command by an exception; outside of it, or at the second signal, end the process."""
        if self._phase is Phase.WORKING:
            self._phase = Phase.STOPPING
            raise StoppedError(number)
        is_second = self._phase is Phase.STOPPING
        words = "interrupted again; temporary files may be left" if is_second else describe_stop(number)
        with suppress(OSError):
            os.write(2, f"sparsetrain: {words}\n".encode())
        os._exit(find_exit_code(number))

    def resend(self, unraisable: Any) -> None:
        """Send a signal again whose exception fell into a callback that can raise none."""
        if isinstance(unraisable.exc_value, StoppedError):
            self._phase = Phase.WORKING
            _thread.interrupt_main(signal.Signals(unraisable.exc_value.number))
        else:
            sys.__unraisablehook__(unraisable)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Unwind the block where a signal comes."""
        self._phase = Phase.WORKING
        try:
            yield
        finally:
            if self._phase is Phase.WORKING:
                self._phase = Phase.IDLE

    def leave(self, code: int) -> None:
        """End the process at once if a signal came: threads that still compute are not waited for."""
        if self._phase is Phase.STOPPING:
            end_process(code)


def end_process(code: int) -> NoReturn:
    """Do what is left to do at the end of a process, and end it without waiting for its threads."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def find_exit_code(number: int) -> int:
    """Give the code by which a shell knows that a signal ended a command."""
    return 128 + number


def describe_stop(number: int, left: str = NOTHING_LEFT) -> str:
    """Say how a command ended, and what it leaves."""
    how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return f"{how}; {left}"


SIGNALS = Signals()
