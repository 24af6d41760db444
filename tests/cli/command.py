"""The command `sparsetrain`, run in a folder of its own, and a workload small enough to run it often."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner

from reports.cli import main

SMALL = """\
name: small
batch: 2
input: {channels: 3, height: 6, width: 5}
layers:
  - {name: conv1, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 4, kernel: [3, 2], stride: 2, groups: 2}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.4}, integers: true}
"""


@dataclass(frozen=True)
class Outcome:
    """What a command ended with, and the files it left in its folder."""

    exit_code: int
    stdout: str
    stderr: str
    files: tuple[str, ...]


def run_command(folder: Path, *arguments: str, columns: str = "120") -> Outcome:
    """Run the command with `folder` as the working directory; an error that it does not expect is raised.

    COLUMNS is fixed, so that help and tables are as wide wherever the tests run; no line of progress is due, however
    slow the machine is.
    """
    started = Path.cwd()
    os.chdir(folder)
    try:
        with patch.dict(os.environ, {"COLUMNS": columns}), patch("reports.progress_lines.FIRST_S", math.inf):
            result = CliRunner(catch_exceptions=False).invoke(main, list(arguments))
    finally:
        os.chdir(started)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return Outcome(result.exit_code, result.stdout, result.stderr, tuple(files))


def write_small(folder: Path) -> str:
    """Write the small workload as small.yaml and return that name."""
    (folder / "small.yaml").write_text(SMALL)
    return "small.yaml"
