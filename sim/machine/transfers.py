"""The transfers of tiles between DRAM and buffer, on the constant channel or on channels with banks."""

from __future__ import annotations

from collections.abc import Callable

from simpy.events import Event

from dataflows.contract.memory import Traffic
from sim.machine.banked_channels import DramCommands
from sim.machine.clock import CountingEnvironment
from sim.machine.dram import BankedUnit, Dram
from sim.machine.dram_layout import place_tiles
from sim.machine.surroundings import Surroundings
from sim.machine.trace import Action, TraceRecorder, Unit


class TileTransfers:
    """Loads and write-backs over the constant channel; the events fire when they have ended.

    Attributes:
        read_bytes: Of the loads that were queued.
    """

    def __init__(
        self, env: CountingEnvironment, traffic: Traffic, surroundings: Surroundings, trace: TraceRecorder | None
    ) -> None:
        self._traffic = traffic
        self._trace = trace
        self._dram = Dram(env, surroundings.dram_bytes_per_cycle, surroundings.dram_latency_cycles)
        self.read_bytes = 0

    @property
    def write_bytes(self) -> int:
        """Bytes that the channel moved besides the loads: none can be left out without being missed here."""
        return self._dram.transferred_bytes - self.read_bytes

    @property
    def busy_cycles(self) -> int:
        """Cycles for which the channel transfers."""
        return self._dram.busy_cycles

    def load(self, tile: int) -> Event:
        """Queue what a tile reads."""
        size_bytes = int(self._traffic.tile_load_bytes[tile])
        self.read_bytes += size_bytes
        return self._transfer(Action.LOAD, tile, size_bytes)

    def write_back(self, tile: int) -> Event:
        """Queue what a tile writes."""
        return self._transfer(Action.WRITE_BACK, tile, int(self._traffic.tile_write_back_bytes[tile]))

    def count_commands(self, cycles: int) -> DramCommands | None:  # noqa: ARG002
        """Give the commands of DRAM with banks over a step of so many cycles; this one has none."""
        return None

    def _transfer(self, action: Action, tile: int, size_bytes: int) -> Event:
        end = self._dram.transfer(size_bytes)
        if self._trace is not None and size_bytes:
            free_at = self._dram.free_at
            started = free_at - self._dram.count_cycles(size_bytes)
            self._trace.note(Unit.DRAM, 0, action, started, free_at, tile, size_bytes)
        return end


class BankedTransfers(TileTransfers):
    """Loads and write-backs over channels with banks, at the addresses of the tensors that they move."""

    def __init__(
        self, env: CountingEnvironment, traffic: Traffic, surroundings: Surroundings, trace: TraceRecorder | None
    ) -> None:
        super().__init__(env, traffic, surroundings, trace)
        assert surroundings.banked is not None
        self._env = env
        self._unit = BankedUnit(env, surroundings.banked)
        self._runs = place_tiles(traffic, surroundings.banked)
        self._traced_until = 0
        self._moved_bytes = 0

    @property
    def write_bytes(self) -> int:
        """Bytes of all transfers that were queued, besides the loads."""
        return self._moved_bytes - self.read_bytes

    @property
    def busy_cycles(self) -> int:
        """Cycles for which the data buses move data, on the mean of the channels."""
        return self._unit.channels.count_busy_cycles()

    def count_commands(self, cycles: int) -> DramCommands | None:
        """Give what the channels did."""
        return self._unit.channels.count_commands(cycles)

    def _transfer(self, action: Action, tile: int, size_bytes: int) -> Event:
        is_write = action is Action.WRITE_BACK
        asked = int(self._env.now)
        self._moved_bytes += size_bytes
        end = self._unit.transfer(self._runs.write_back(tile) if is_write else self._runs.load(tile), is_write)
        if self._trace is not None and size_bytes:
            end.callbacks.append(self._note(action, tile, size_bytes, asked))
        return end

    def _note(self, action: Action, tile: int, size_bytes: int, asked: int) -> Callable[[Event], None]:
        """Note a transfer when it ends: from the request, or from the end of the one that ended before, as one lane."""

        def note(_: Event) -> None:
            assert self._trace is not None
            now = int(self._env.now)
            self._trace.note(Unit.DRAM, 0, action, max(asked, self._traced_until), now, tile, size_bytes)
            self._traced_until = now

        return note


def make_transfers(
    env: CountingEnvironment, traffic: Traffic, surroundings: Surroundings, trace: TraceRecorder | None
) -> TileTransfers:
    """Make the transfers of a step on a machine."""
    kind = TileTransfers if surroundings.banked is None else BankedTransfers
    return kind(env, traffic, surroundings, trace)
