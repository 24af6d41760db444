"""Trainings in processes of their own that are killed at a chosen moment, each by itself, so that none depends on time.

Run as a program it has imported what a training needs, and forks for each moment: no computation has begun before.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim.training.execution import StudyProgress
from sim.training.study import train
from workloads.training import checkpoint

# Where a checkpoint is written: behind half of its bytes, before it is moved into place, and just behind that.
WRITING, WRITTEN, MOVED = "writing", "written", "moved"


def kill() -> None:
    """End this process as nothing can catch it."""
    os.kill(os.getpid(), signal.SIGKILL)


class Moment:
    """Kills when so many iterations of all trainings were told, or in the writing of the n-th checkpoint.

    Args:
        place: ``told``, or of the checkpoint that is written.
    """

    def __init__(self, place: str, number: int) -> None:
        self._place, self._left = place, number
        if place != "told":
            self._watch()

    def tell(self, progress: StudyProgress) -> None:
        """Count an iteration, or the end of an epoch; not that a training goes on."""
        is_new = progress.training.outcome is not None or progress.training.record is not None
        if self._place == "told" and is_new:
            self._count()

    def _count(self) -> None:
        self._left -= 1
        if not self._left:
            kill()

    def _watch(self) -> None:
        write, replace = checkpoint.write_npz, checkpoint.Path.replace

        def write_half(path: Path, arrays: Any, **options: Any) -> None:
            write(path, arrays, **options)
            if self._place == WRITING and self._left == 1:
                os.truncate(path, path.stat().st_size // 2)
            if self._place == WRITING:
                self._count()

        def move(path: Path, target: Path) -> Any:
            if self._place == WRITTEN and target.name == "checkpoint.npz":
                self._count()
            done = replace(path, target)
            if self._place == MOVED and target.name == "checkpoint.npz":
                self._count()
            return done

        checkpoint.write_npz = write_half
        checkpoint.Path.replace = move  # type: ignore[method-assign]


def fork(run: Callable[[], object]) -> int:
    """Run something in a process of its own; give its status, negative where a signal ended it."""
    process = os.fork()
    if not process:
        try:
            run()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run_killed(moments: list[tuple[str, int]], workload: str, out: str, options: dict[str, Any]) -> list[int]:
    """Begin a study, or go on with it, once for each moment and once to its end; give how each process ended."""
    found = [fork(lambda moment=moment: train(workload, out=out, on_progress=Moment(*moment).tell, **options))
             for moment in moments]  # fmt: skip
    return [*found, fork(lambda: train(workload, out=out, **options))]


def start_killed(
    moments: list[tuple[str, int]], workload: Path, out: Path, options: dict[str, Any]
) -> tuple[list[int], str]:
    """Run `run_killed` in a program of its own; give what it found, and what was written on stderr."""
    given = json.dumps([moments, str(workload), str(out), options])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-m", "killed_trainings", given], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout), done.stderr


if __name__ == "__main__":
    print(json.dumps(run_killed(*json.loads(sys.argv[1]))))
