from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from sim.parent_watch import wait_for_process

DEADLINE_S = 240


@pytest.mark.parametrize("has_handles", [True, False])
def test_the_end_of_a_process_is_waited_for_also_where_the_system_gives_no_handle(
    has_handles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    if not has_handles:
        monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    watch = threading.Thread(target=wait_for_process, args=(process.pid,), daemon=True)
    watch.start()
    assert watch.is_alive()
    process.kill()
    watch.join(DEADLINE_S)
    assert not watch.is_alive()
    process.communicate()
    wait_for_process(process.pid)
