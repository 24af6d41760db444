"""What the commands of DRAM with banks cost, from the currents of its data sheet."""

from __future__ import annotations

from dataclasses import dataclass

from sim.dram_presets import DramPart

# What is counted of DRAM with banks: its commands, and the clocks of its ranks.
DRAM_COMMANDS = (
    "dram_activates",
    "dram_read_bursts",
    "dram_write_bursts",
    "dram_refreshes",
    "dram_active_clocks",
    "dram_idle_clocks",
)
FORMULA = "as data sheets' power guides and DRAMsim3 compute it, array alone, without the interface"


@dataclass(frozen=True, slots=True)
class CommandPrice:
    """Picojoules of one action, and in words how they come about."""

    action: str
    pj: float
    source: str


def price_commands(part: DramPart) -> tuple[CommandPrice, ...]:
    """Price the commands of a channel, and a clock of one of its ranks with and without an open bank.

    Milliampere x volts x nanoseconds are picojoules. An activate holds the precharge that follows.
    """
    power, clocks = part.power, part.timing
    cycle = clocks.t_ras + clocks.t_rp
    opened = power.idd0 * cycle - power.idd3n * clocks.t_ras - power.idd2n * clocks.t_rp
    charges = (
        (opened, "IDD0 (t_ras + t_rp) - IDD3N t_ras - IDD2N t_rp"),
        ((power.idd4r - power.idd3n) * part.burst_clocks, "(IDD4R - IDD3N) burst"),
        ((power.idd4w - power.idd3n) * part.burst_clocks, "(IDD4W - IDD3N) burst"),
        ((power.idd5 - power.idd3n) * clocks.t_rfc, "(IDD5 - IDD3N) t_rfc"),
        (power.idd3n, "IDD3N"),
        (power.idd2n, "IDD2N"),
    )
    clock_ns = 1000 / part.clock_mhz
    scale = power.volts * part.devices * clock_ns
    ending = f"{part.source}; {FORMULA}" + "; assumed" * part.assumed
    return tuple(
        CommandPrice(
            action,
            charge * scale,
            f"{part.name}: {words} = {charge:g} mA clocks x {power.volts:g} V x {part.devices} devices x "
            f"{clock_ns:.6g} ns; {ending}",
        )
        for action, (charge, words) in zip(DRAM_COMMANDS, charges, strict=True)
    )
