"""What time it is and how good that knowledge is.

In: the host's clocks, a time server's answer (`apply_sync`), or a scaled clock from the config. Out: `Time(time_s, quality)`.
Quality is data and is signed with every bundle: 0 unsynced (seconds since boot), 1 RTC, 2 NTP, 3 server-signed, 4 simulated.
Never guesses: without a source it says seconds since boot.
"""

import asyncio
import time
from collections import namedtuple

UNSYNCED = 0
RTC = 1
NTP = 2
SERVER_SIGNED = 3
SIMULATED = 4

EPOCH_OFFSET_S = 0 if time.gmtime(0)[0] == 1970 else 946_684_800  # MicroPython boards count from 2000
SLEEP_MS_MAX = 60_000  # a long sleep is cut so that a clock set meanwhile is noticed

Time = namedtuple("Time", ("time_s", "quality"))
Sync = namedtuple("Sync", ("uptime_s", "utc_s", "quality"))


def wall_ms() -> int:
    """The host's clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000 + EPOCH_OFFSET_S * 1000


class Uptime:
    """Milliseconds since start from a tick counter that may wrap around."""

    def __init__(self) -> None:
        self._ms = 0
        self._last = self._ticks()

    def _ticks(self) -> int:
        if hasattr(time, "ticks_ms"):
            return time.ticks_ms()
        return time.monotonic_ns() // 1_000_000

    def ms(self) -> int:
        ticks = self._ticks()
        self._ms += time.ticks_diff(ticks, self._last) if hasattr(time, "ticks_diff") else ticks - self._last
        self._last = ticks
        return self._ms


class Clock:
    """A line through (uptime, UTC) with a slope of `scale_milli`/1000; with `follow_host` the host's clock itself. A faster line ends where
    it meets the host's clock and follows it from there: no reading is dated in the future.

    `first_sync` keeps what is needed to repair the readings taken before the clock was set: `Sync(uptime_s, utc_s, quality)`.
    """

    def __init__(self, quality: int, utc_ms: int = 0, scale_milli: int = 1000, follow_host: bool = False) -> None:
        self._uptime = Uptime()
        self._follow_host = follow_host
        self._scale_milli = scale_milli
        self._quality = quality
        self._base_utc_ms = utc_ms
        self._base_uptime_ms = 0
        self.first_sync: Sync | None = None

    def uptime_s(self) -> int:
        return self._uptime.ms() // 1000

    def now_ms(self) -> int:
        """Milliseconds of the scale that `now` counts in seconds."""
        if self._follow_host:
            return wall_ms()
        uptime_ms = self._uptime.ms()
        if self._quality == UNSYNCED:
            return uptime_ms
        utc_ms = self._base_utc_ms + (uptime_ms - self._base_uptime_ms) * self._scale_milli // 1000
        if self._scale_milli > 1000 and utc_ms >= wall_ms():
            self._follow_host = True
            self._scale_milli = 1000
            return wall_ms()
        return utc_ms

    def now(self) -> Time:
        return Time(self.now_ms() // 1000, self._quality)

    def apply_sync(self, utc_ms: int, quality: int) -> None:
        """A source told the time. The first one after an unsynced start is remembered for a time repair."""
        uptime_ms = self._uptime.ms()
        if self._quality == UNSYNCED:
            self.first_sync = Sync(uptime_ms // 1000, utc_ms // 1000, quality)
        self._base_utc_ms = utc_ms
        self._base_uptime_ms = uptime_ms
        self._quality = quality
        self._follow_host = False

    async def sleep_until(self, time_s: int) -> None:
        """Sleeps till `now().time_s` reaches `time_s`, or till the clock's quality changes and the target means nothing any more. A clock
        that is set back makes nobody sleep longer than SLEEP_MS_MAX beyond what was left at first."""
        quality = self._quality
        latest_ms = self._uptime.ms() + (time_s * 1000 - self.now_ms()) * 1000 // self._scale_milli + SLEEP_MS_MAX
        while quality == self._quality:
            left_ms = time_s * 1000 - self.now_ms()
            if left_ms <= 0 or self._uptime.ms() >= latest_ms:
                return
            # Rounded up: waking a millisecond early would take the same second twice.
            await asyncio.sleep(min(-(-left_ms * 1000 // self._scale_milli), SLEEP_MS_MAX) / 1000)


def build_clock(settings: dict) -> Clock:
    """`{"kind": "system", "quality": 1|2}`, `{"kind": "ntp", …}` (unsynced until the first answer) or
    `{"kind": "simulated", "epoch_s", "wall_ms", "scale_milli"}`: UTC was `epoch_s` when the host's clock said `wall_ms`;
    faster than real time until it catches up with the host."""
    kind = settings["kind"]
    if kind == "system":
        return Clock(settings.get("quality", RTC), follow_host=True)
    if kind == "ntp":
        return Clock(UNSYNCED)
    scale_milli = settings["scale_milli"]
    utc_ms = settings["epoch_s"] * 1000 + (wall_ms() - settings["wall_ms"]) * scale_milli // 1000
    return Clock(SIMULATED, utc_ms, scale_milli)
