"""A worker process that is watched: its time, its memory, and its end."""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import BinaryIO, cast

import psutil

from sim.sweep.job import Job, Outcome, Status
from sim.sweep.worker import EVALUATOR, LENGTH

WATCH_INTERVAL_S = 0.05
BYTES_PER_MB = 2**20


@dataclass(frozen=True, slots=True)
class PointLimits:
    """What one point may take; None is unlimited."""

    timeout_s: float | None = None
    memory_mb: int | None = None


class StoppedError(Exception):
    """The process was stopped from outside; its point has no outcome."""


class PointProcess:
    """Evaluates jobs in a process of its own, started when it is first needed and again after it was killed."""

    def __init__(self, limits: PointLimits, evaluator: str = EVALUATOR) -> None:
        self._limits, self._evaluator = limits, evaluator
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._buffer = bytearray()
        self._peak_mb = 0.0

    def evaluate(self, job: Job) -> Outcome:
        """Evaluate a job; a process that exceeds a limit is killed, and one that dies is a failed point.

        Raises:
            StoppedError: `stop` was called meanwhile.
        """
        started = time.perf_counter()
        process = self._start()
        started = time.perf_counter()
        self._peak_mb = 0.0
        try:
            write_job(cast(BinaryIO, process.stdin), job)
            answer = self._wait(process, started)
        except (BrokenPipeError, EOFError):
            answer = self._describe_end(process)
        if isinstance(answer, bytes):
            outcome: Outcome = pickle.loads(answer)
            return Outcome(**{**vars(outcome), "peak_memory_mb": self._peak_mb or None})
        self._kill()
        seconds = time.perf_counter() - started
        return Outcome(job.key, Status.FAILED, answer, seconds=seconds, peak_memory_mb=self._peak_mb or None)

    def stop(self) -> None:
        """Kill the process, from any thread; a job that it works on is lost."""
        self._is_stopped = True
        self._kill()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            self._buffer.clear()
            # A session of its own: Ctrl-C on the terminal reaches the parent alone, which then decides.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sim.sweep.worker", self._evaluator],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env=environment, start_new_session=True,
            )  # fmt: skip
            try:
                self._read_message(self._process, None, time.perf_counter())
            except EOFError:
                self._check_stopped()
                raise RuntimeError(f"the worker process does not start: {self._describe_end(self._process)}") from None
        self._check_stopped()
        return self._process

    def _wait(self, process: subprocess.Popen[bytes], started: float) -> bytes | str:
        return self._read_message(process, self._limits.timeout_s, started)

    def _read_message(self, process: subprocess.Popen[bytes], timeout_s: float | None, started: float) -> bytes | str:
        """Read one message; a text instead of it says which limit was exceeded.

        Raises:
            EOFError: the process ended.
        """
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if (message := self._take_message()) is not None:
                    return message
                ready = selector.select(self._choose_interval(timeout_s))
                self._check_stopped()
                if ready:
                    data = os.read(process.stdout.fileno(), 2**16)
                    if not data:
                        raise EOFError
                    self._buffer += data
                elif (reason := self._find_excess(process, timeout_s, started)) is not None:
                    return reason

    def _choose_interval(self, timeout_s: float | None) -> float:
        if timeout_s is None and self._limits.memory_mb is None:
            return 1.0
        return WATCH_INTERVAL_S

    def _take_message(self) -> bytes | None:
        if len(self._buffer) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack(self._buffer[: LENGTH.size])
        if len(self._buffer) < LENGTH.size + length:
            return None
        message = bytes(self._buffer[LENGTH.size : LENGTH.size + length])
        del self._buffer[: LENGTH.size + length]
        return message

    def _find_excess(self, process: subprocess.Popen[bytes], timeout_s: float | None, started: float) -> str | None:
        if timeout_s is not None and time.perf_counter() - started > timeout_s:
            return f"the point took longer than its limit of {timeout_s:g} s"
        try:
            used_mb = psutil.Process(process.pid).memory_info().rss / BYTES_PER_MB
        except psutil.Error:
            return None
        self._peak_mb = max(self._peak_mb, used_mb)
        if self._limits.memory_mb is not None and used_mb > self._limits.memory_mb:
            return f"the point took more memory than its limit of {self._limits.memory_mb} MB"
        return None

    def _describe_end(self, process: subprocess.Popen[bytes]) -> str:
        self._check_stopped()
        code = process.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"the worker process ended {how}"

    def _check_stopped(self) -> None:
        if self._is_stopped:
            self._kill()
            raise StoppedError

    def _kill(self) -> None:
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue


def write_job(stream: BinaryIO, job: Job) -> None:
    """Send a job to a worker process."""
    data = pickle.dumps(job)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()
