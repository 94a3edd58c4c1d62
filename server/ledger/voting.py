"""This validator's votes on the batches of its own log: every batch gets one, sooner or later.

In: the ledger's list of batches that wait for this validator, a judge. Out: vote transactions. Never reads batches that have the vote; a
batch that cannot be voted on now holds up no other, and is tried again, also after a restart.
"""

import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable, VerifyError
from shared.state import BatchValue, Receipt

from .judging import Judge
from .transactions import Signing

NEW_MAX = 256  # votes before batches are added again
AGAIN_MAX = 4  # batches tried again in a row: each may be a thousand statements to check
AGAIN_S, AGAIN_S_MAX = 10.0, 640.0
WITHHELD_MAX = 1000
LEDGER_CORRUPT = 271
_LOG = logging.getLogger("meterproof.anchor")
Submit = Callable[[Signing, str, dict[int, object]], Awaitable[Receipt]]


class Batches(Protocol):
    """What is asked of the ledger."""

    def votes_due(self, origin: str, kid: bytes, /, *, after: int, limit: int) -> list[int]: ...
    def batch(self, origin: str, number: int, /) -> BatchValue | None: ...


class Voter:
    """One for a log. `withheld`: the latest batches that could not be voted on yet, with the reason."""

    def __init__(
        self, ledger: Batches, judge: Judge, origin: str, key: Signing, submit: Submit, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._judge, self._submit, self._now_s = ledger, judge, submit, now_s
        self._origin, self._key = origin, key
        self._looked_at = -1
        self._again_from = -1
        self._again_at_s: float | None = None
        self._pause_s = AGAIN_S
        self.behind = False
        self.withheld: dict[int, str] = {}

    @property
    def wait_s(self) -> float | None:
        """How long nothing is due; None: until there are new batches."""
        return None if self._again_at_s is None else max(0.0, self._again_at_s - self._now_s())

    async def vote(self) -> None:
        """Votes on batches not looked at so far, NEW_MAX of them (`behind` if there are more), and tries again what is due for it. Raises
        Unavailable if the ledger takes no transactions now, VerifyError 271 if it is damaged."""
        numbers = self._due(self._looked_at, NEW_MAX)
        for number in numbers:
            if not await self._try(number) and self._again_at_s is None:
                self._again_at_s = self._now_s() + self._pause_s
            self._looked_at = number
        self.behind = len(numbers) == NEW_MAX
        if self.wait_s == 0:
            await self._try_again()

    async def _try_again(self) -> None:
        """Some more of those looked at without success; after a round in which none got its vote the next one comes later."""
        numbers = [number for number in self._due(self._again_from, AGAIN_MAX) if number <= self._looked_at]
        self._again_at_s = None
        self._judge.look_again()
        for number in numbers:
            if await self._try(number):
                self._pause_s = AGAIN_S
            self._again_from = number
        if len(numbers) < AGAIN_MAX:
            self._again_from, self._pause_s = -1, min(2 * self._pause_s, AGAIN_S_MAX)
        if self._due(-1, 1):
            self._again_at_s = self._now_s() + self._pause_s
        else:
            self._pause_s = AGAIN_S

    def _due(self, after: int, limit: int) -> list[int]:
        return self._ledger.votes_due(self._origin, self._key.kid, after=after, limit=limit)

    async def _try(self, number: int) -> bool:
        """Whether the batch has its vote now. What is wrong with one batch is no reason to leave out others."""
        batch = self._ledger.batch(self._origin, number)
        if batch is None:
            raise VerifyError(LEDGER_CORRUPT, f"batch {number} waits for a vote, but is not there")
        try:
            objections = await self._judged(batch)
            await self._submit(self._key, "vote", {1: self._origin, 2: number, 3: batch.root, 4: objections})
        except (VerifyError, DecodeError, RuleError) as error:
            if error.code == LEDGER_CORRUPT:
                raise
            self._withhold(number, error)
            return False
        if objections:
            _LOG.warning("batch %d: objections to %s", number, [(item[0], item[1]) for item in objections])
        if self.withheld.pop(number, None) is not None:
            _LOG.warning("batch %d: the vote that was withheld is cast", number)
        return True

    async def _judged(self, batch: BatchValue) -> list[list[object]]:
        """Objections. Raises VerifyError 270 too for what cannot be read: that is this batch's trouble, and may pass."""
        try:
            return await self._judge.objections(batch)
        except (Unavailable, OSError, sqlite3.Error) as error:
            text = error.text if isinstance(error, MeterproofError) else str(error)
            raise VerifyError(270, f"statements or rows cannot be read: {text}") from error

    def _withhold(self, number: int, error: MeterproofError) -> None:
        if self.withheld.get(number) != str(error):
            _LOG.error("no vote on batch %d: %s", number, error)
        self.withheld.pop(number, None)
        self.withheld[number] = str(error)
        if len(self.withheld) > WITHHELD_MAX:
            del self.withheld[next(iter(self.withheld))]
