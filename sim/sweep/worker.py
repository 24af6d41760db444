"""The worker process of a sweep: reads jobs from its standard input, writes outcomes to its standard output."""

from __future__ import annotations

import importlib
import os
import pickle
import struct
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import BinaryIO

from sim.sweep.job import Job, Outcome

LENGTH = struct.Struct("!Q")
READY = b"ready"
ENDED_BY_PARENT = 0
EVALUATOR = "sim.sweep.evaluation:Evaluator"


def write_frame(stream: BinaryIO, data: bytes) -> None:
    """Write a message behind its length."""
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """Read a message; None where the other side has gone."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def load_evaluator(name: str) -> Callable[[Job], Outcome]:
    """Make the evaluator named ``module:attribute``."""
    module, _, attribute = name.partition(":")
    evaluator: Callable[[Job], Outcome] = getattr(importlib.import_module(module), attribute)()
    return evaluator


def read_jobs(stream: BinaryIO, jobs: SimpleQueue[Job]) -> None:
    """Hand on jobs; when the parent goes, even by force, the process ends at once."""
    while (data := read_frame(stream)) is not None:
        jobs.put(pickle.loads(data))
    os._exit(ENDED_BY_PARENT)


def main() -> None:
    """Work until the parent is gone."""
    output = os.fdopen(os.dup(1), "wb")
    # What a dataflow prints must not get between the messages.
    os.dup2(2, 1)
    jobs: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=read_jobs, args=(sys.stdin.buffer, jobs), daemon=True).start()
    evaluate = load_evaluator(sys.argv[1])
    write_frame(output, READY)
    while True:
        write_frame(output, pickle.dumps(evaluate(jobs.get())))


if __name__ == "__main__":
    main()
