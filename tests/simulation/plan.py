"""What a seed wants: how long, how many, which kinds of trouble and how often. In: random numbers. Out: a Plan. Each seed leaves some kinds
out, so that each is also met without the others."""

import random
from dataclasses import dataclass, field

from tests.simulation.faults import KINDS

MESSAGE_KINDS = (
    "message-dropped", "message-duplicated", "message-delayed", "puback-false", "replay", "payload-spoiled", "misrouted",
)  # fmt: skip
# Faults that come by themselves, with the mean time between two of them in simulated hours.
EVENTS = {
    "broker-restart": 6.0, "partition": 8.0, "half-open": 6.0, "disk-full": 8.0, "backend-stop": 8.0, "power-cut": 5.0, "kill": 6.0,
    "flash-flip": 24.0, "clock-1970": 16.0, "clock-2000": 16.0, "clock-tomorrow": 16.0, "clock-back": 12.0, "clock-backend": 12.0,
    "no-time": 12.0, "meter-silent": 8.0, "meter-rollover": 16.0, "meter-replaced": 16.0, "suspended": 12.0, "revoked": 48.0,
    "equivocation": 16.0, "wrong-chain": 12.0, "rows-spoiled": 12.0, "gap-false": 16.0, "statement-forged": 8.0, "stranger": 6.0,
    "ack-forged": 8.0,
}  # fmt: skip
STORE_KINDS = ("write-lost", "write-kept", "crash-lost", "crash-kept", "power-loss")


@dataclass(frozen=True)
class DevicePlan:
    """One honest device."""

    name: str
    period_s: int
    bundle_count: int
    bundle_max_s: int
    sectors: int
    clock: str
    enrolled_after_s: float


@dataclass(frozen=True)
class Plan:
    """`rates`: kind → probability per message, mean hours between two, or 1 for kinds of the store."""

    hours: float
    devices: tuple[DevicePlan, ...]
    store_gap: int
    rates: dict[str, float] = field(default_factory=dict)

    def rate(self, kind: str) -> float:
        return self.rates.get(kind, 0.0)

    @property
    def store_kinds(self) -> list[str]:
        return [kind for kind in STORE_KINDS if kind in self.rates]


def everything(rng: random.Random, hours: float = 16.0) -> Plan:
    """Every kind of trouble in one run, for a device of each kind of clock and one that is small."""
    rates = dict.fromkeys(MESSAGE_KINDS, 0.02) | dict.fromkeys(EVENTS, hours / 4) | dict.fromkeys(STORE_KINDS, 1.0)
    devices = (
        DevicePlan("meter0", 300, 6, 3600, 8, "system", 0.0),
        DevicePlan("meter1", 300, 6, 3600, 8, "ntp", 0.0),
        DevicePlan("meter2", 30, 10, 3600, 4, "ntp", 3600.0 * hours * rng.uniform(0.5, 0.7)),
    )
    return Plan(hours, devices, 300, rates)


def draw_plan(rng: random.Random, hours: float | None = None) -> Plan:
    """What a seed wants by itself."""
    chosen = {kind for kind in KINDS if rng.random() < rng.choice((0.2, 0.5, 0.8))}
    rates: dict[str, float] = {}
    for kind in sorted(chosen):
        if kind in MESSAGE_KINDS:
            rates[kind] = rng.choice((0.01, 0.05, 0.2))
        elif kind in EVENTS:
            rates[kind] = EVENTS[kind] * rng.choice((0.3, 1.0, 2.0))
        elif kind in STORE_KINDS:
            rates[kind] = 1.0
    devices = tuple(_draw_device(rng, f"meter{number}") for number in range(rng.choice((1, 2, 2, 3, 4))))
    return Plan(rng.uniform(3, 18) if hours is None else hours, devices, rng.choice((150, 400, 1200, 4000)), rates)


def _draw_device(rng: random.Random, name: str) -> DevicePlan:
    return DevicePlan(
        name,
        rng.choice((60, 300, 300, 900)),
        rng.choice((3, 6, 10, 20)),
        rng.choice((900, 3600, 7200)),
        rng.choice((4, 5, 8, 16)),
        rng.choice(("system", "ntp", "ntp")),
        rng.choice((0.0, 30.0, 3600.0)) * rng.random(),
    )
