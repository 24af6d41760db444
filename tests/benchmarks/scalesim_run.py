"""Run SCALE-Sim on the layers that come on stdin as JSON; needs nothing but the package `scalesim` and its Python.

The array has as many multipliers as the machine `sparsetrain`, 168, as 12 x 14. Its SRAM is the buffer's 386 KiB in
three parts. Pads are part of the images that it is given, a fully connected layer is a 1x1 convolution of one place.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROWS, COLUMNS = 12, 14
CONFIGURATION = f"""\
[general]
run_name = run

[architecture_presets]
ArrayHeight = {ROWS}
ArrayWidth = {COLUMNS}
IfmapSramSzkB = 128
FilterSramSzkB = 128
OfmapSramSzkB = 128
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = os
Bandwidth = 32
ReadRequestBuffer = 64
WriteRequestBuffer = 64

[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2

[sparsity]
SparsitySupport = false

[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
HEADER = (
    "Layer name,IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,Stride Height,Stride Width,"
    "Sparsity,"
)


def run_layers(rows: list[list[int | str]]) -> dict[str, object]:
    """Simulate layers and tell the time, the peak of the process and the version."""
    from scalesim.scale_sim import scalesim  # type: ignore[import-not-found,unused-ignore]

    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        folder = Path(name)
        (folder / "scale.cfg").write_text(CONFIGURATION)
        lines = [HEADER, *(",".join(map(str, [*row, "1:1", ""])) for row in rows)]
        (folder / "layers.csv").write_text("\n".join(lines) + "\n")
        layout = [
            ",".join(["Layer name", *["0"] * 20, ""]),
            *(",".join([str(row[0]), *["1"] * 20, ""]) for row in rows),
        ]
        (folder / "layout.csv").write_text("\n".join(layout) + "\n")
        started = time.perf_counter()
        simulator = scalesim(
            save_disk_space=True, verbose=False, config=str(folder / "scale.cfg"), topology=str(folder / "layers.csv"),
            layout=str(folder / "layout.csv"),
        )  # fmt: skip
        simulator.run_scale(top_path=str(folder))
        wall_s = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"wall_s": wall_s, "peak_bytes": peak, "version": version("scalesim"), "array": f"{ROWS} x {COLUMNS}"}


if __name__ == "__main__":
    json.dump(run_layers(json.load(sys.stdin)), sys.stdout)
