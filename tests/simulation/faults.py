"""Every kind of trouble the simulation makes, counted, and the trace of what happened. In: names, lines. Out: counts, one hash."""

from collections import Counter, deque
from collections.abc import Callable
from hashlib import sha256

KINDS = {
    "message-dropped": "the broker loses a message it took",
    "message-duplicated": "a message comes twice",
    "message-delayed": "a message comes minutes or hours later",
    "puback-false": "the broker confirms what it throws away",
    "broker-restart": "the broker dies with everything on its way",
    "partition": "a device reaches no broker for hours",
    "half-open": "a connection that carries nothing more, and nobody is told",
    "write-lost": "a write of the store fails",
    "write-kept": "a write of the store is reported failed and is there",
    "crash-lost": "the backend is killed before a write",
    "crash-kept": "the backend is killed after a write",
    "power-loss": "the backend's machine loses what was not synced",
    "backend-stop": "the backend is stopped and started",
    "disk-full": "no write of the store succeeds for a while",
    "power-cut": "a device loses power in the middle of a flash write or erase",
    "kill": "a device is killed between two steps",
    "flash-flip": "one bit of the flash changes by itself while the device is off",
    "clock-1970": "a device's clock falls to 1970",
    "clock-2000": "a device's clock falls to 2000",
    "clock-tomorrow": "a device's clock leaps a day ahead",
    "clock-back": "a device's clock goes back some hours",
    "clock-backend": "the backend's clock steps",
    "no-time": "no time server answers",
    "journal-full": "a device drops its oldest bundle",
    "meter-silent": "a meter does not answer",
    "meter-rollover": "a meter's register starts again at zero",
    "meter-replaced": "another meter behind the same device",
    "suspended": "a person suspends an honest device, and resumes it later",
    "revoked": "a person revokes a device",
    "equivocation": "a device signs two bundles for one sequence",
    "wrong-chain": "a device names a previous statement that never was",
    "rows-spoiled": "a device sends rows that are not what it signed",
    "gap-false": "a device names readings lost that are in the log",
    "statement-forged": "a stranger signs in a device's name",
    "stranger": "a device that nobody enrolled",
    "replay": "the broker sends an old message again",
    "payload-spoiled": "the broker changes a byte",
    "ack-forged": "the broker makes an ack of its own",
    "misrouted": "the broker delivers a message under another device's topic",
}
TAIL = 60
STEPS_AT_ONCE_MAX = 20_000


class RunsInCircles(BaseException):
    """Step after step and no time passes: something is done again and again."""


class Trace:
    """What happened, in order: `hash` of all of it, `tail` of the last lines, `counts` of faults by kind."""

    def __init__(self, echo: bool = False) -> None:
        self._hash = sha256()
        self._echo = echo
        self.steps = 0
        self._moved_s, self._moved_step = -1.0, 0
        self.now_s = lambda: 0.0
        self.on_circles: Callable[[str], None] = lambda text: None
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.counts: Counter[str] = Counter()

    def note(self, what: str, text: str = "") -> None:
        """One step."""
        self.steps += 1
        if self.now_s() != self._moved_s:
            self._moved_s, self._moved_step = self.now_s(), self.steps
        if self.steps - self._moved_step > STEPS_AT_ONCE_MAX:
            self._moved_step = self.steps
            self.on_circles(f"{STEPS_AT_ONCE_MAX} steps at second {self._moved_s:.4f}, the last: {what} {text}")
            raise RunsInCircles
        line = f"{self.steps:6} {self.now_s():13.4f} {what:18} {text}"
        self._hash.update(line.encode() + b"\n")
        self.tail.append(line)
        if self._echo:
            print(line)

    def fault(self, kind: str, text: str = "") -> None:
        """One fault of a known kind."""
        assert kind in KINDS, kind
        self.counts[kind] += 1
        self.note("! " + kind, text)

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()
