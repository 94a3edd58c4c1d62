"""What to send next, and what an ack means for the journal. No network, no time of its own, no signature: acks given here are verified.

In: the journal, acks and refusals, milliseconds of uptime. Out: the next entry to publish, entries freed. Never frees on anything but an
ack, and never has more than WINDOW statements on their way that the node has not yet confirmed.
"""

import os

from edge.losses import LOST_DAMAGED
from edge.memory import let_go

WINDOW = 4
RESEND_MS = 5_000  # doubled with every attempt, with jitter
RESEND_MS_MAX = 300_000
ASKED_MS = 1_000  # the node names a range missing: sent again this soon after the last time
IDLE_MS = 60_000
ROWS_NOT_SIGNED = 233


def jitter(ms: int) -> int:
    """Between 3/4 and 5/4 of it, so that a fleet does not come back in step."""
    return ms * (192 + os.urandom(1)[0] // 2) // 256


def is_whole(journal: object, identity: bytes) -> bool:
    from edge import sealing  # code is memory

    try:
        return sealing.is_whole(journal, identity)
    finally:
        let_go("sealing")


class Outbox:
    """`wait_ms` after `pick`: how long until it is worth asking again, unless something happens."""

    def __init__(self, journal: object) -> None:
        self._journal = journal
        self._sent: dict[bytes, list[int]] = {}  # identity: [attempts, when due again, when last sent, refusals ignored]
        self._missing: list[tuple[int, int]] = []
        self._next_seq = 0
        self._log_size = -1
        self._suspect = (-1, 0, 0, 0)
        self.wait_ms = IDLE_MS

    def forget(self) -> None:
        """A new connection: all that is not confirmed is due, and an older state of the log is believed again."""
        self._sent = {}
        self._missing = []
        self._next_seq = 0
        self._log_size = -1

    # --- sending

    def pick(self, now_ms: int) -> object:
        """The entry to publish now, what the node misses first; None when nothing is due."""
        self.wait_ms = IDLE_MS
        # Nothing frees a journal that has dropped something before the node knows what: a gap goes ahead of a full window.
        for entry in self._journal.pending_gaps():
            if self._is_due(entry, now_ms):
                return entry
        chosen = None
        slots = 0
        for entry in self._journal.pending():
            missing = self._is_missing(entry)
            # The first is sent again even if the node has it: as long as it is not freed, the ack for it may be what got lost.
            if slots and not missing and self._is_logged(entry):
                continue
            slots += 1
            if self._is_due(entry, now_ms):
                if missing:
                    return entry
                chosen = chosen or entry
            if slots >= WINDOW:
                break
        return chosen

    def _is_due(self, entry: object, now_ms: int) -> bool:
        due_ms = self._sent[entry.identity][1] if entry.identity in self._sent else 0
        if due_ms > now_ms:
            self.wait_ms = min(self.wait_ms, due_ms - now_ms)
        return due_ms <= now_ms

    def apply_sent(self, identity: bytes, now_ms: int) -> int:
        """It was handed to the broker; gives how many times by now on this connection."""
        attempts, _, _, ignored = self._sent.get(identity, (0, 0, 0, 0))
        self._prune()
        self._sent[identity] = [attempts + 1, now_ms + jitter(min(RESEND_MS << min(attempts, 16), RESEND_MS_MAX)), now_ms, ignored]
        return attempts + 1

    def _prune(self) -> None:
        if len(self._sent) > 2 * WINDOW:
            for identity in list(self._sent):
                if self._journal.find(identity) < 0:
                    del self._sent[identity]

    def _is_missing(self, entry: object) -> bool:
        end_seq = entry.first_seq + entry.count
        return any(first_seq < end_seq and entry.first_seq < first_seq + count for first_seq, count in self._missing)

    def _is_logged(self, entry: object) -> bool:
        """By the newest ack: below `next_seq`, or below something missing and not missing itself."""
        if entry.kind != "readings":
            return False
        known_end = self._missing[-1][0] if self._missing else self._next_seq
        return entry.first_seq + entry.count <= max(known_end, self._next_seq)

    # --- what comes back

    def apply_ack(self, ack: object, now_ms: int) -> int:
        """Frees what the node vouches for; gives how many statements that were."""
        freed = self._journal.free(ack.identity, ack.next_seq) if ack.identity is not None else 0
        if ack.log_size >= self._log_size:  # else it was overtaken by a later one
            self._log_size = ack.log_size
            self._next_seq = ack.next_seq
            self._missing = ack.missing
            self._name_unknown(ack, now_ms)
        self.hurry(now_ms)
        return freed

    def hurry(self, now_ms: int) -> None:
        """The node is there. What it misses, and what was sent in vain more than once while it was away, is due; but what somebody on the
        way spoils keeps to its pauses."""
        for entry in self._journal.pending():
            state = self._sent.get(entry.identity)
            if state is not None and not state[3] and (state[0] > 1 or self._is_missing(entry)):
                state[1] = min(state[1], max(now_ms, state[2] + ASKED_MS))

    def apply_refusal(self, refusal: object) -> bool:
        """Sets the statement aside. False when it does not: rows that never matched there and are whole here were changed on the way.
        Whoever does that may delay them, not lose them."""
        if refusal.code == ROWS_NOT_SIGNED and is_whole(self._journal, refusal.identity):
            if refusal.identity in self._sent:
                self._sent[refusal.identity][3] += 1
            return False
        self._journal.set_aside(refusal.identity, refusal.code)
        return True

    def _name_unknown(self, ack: object, now_ms: int) -> None:
        """What the node misses and this device neither holds nor has named is gone for good, by a fault on either side. Said so twice, it
        is named lost: else the node would wait for it forever, and nothing could be freed any more. The second time may come from the
        same state of the log: it may grow by nobody but us, and we may hold nothing that it does not have."""
        journal = self._journal
        # What waits to be named is not unknown, nor what may be in a gap statement that the node has hardly had the time to take.
        if len(journal.losses) or any(self._sent.get(entry.identity, (0,))[0] < 2 for entry in journal.pending_gaps()):
            return
        for first_seq, count in ack.missing:
            seq, end_seq = self._not_held(first_seq, min(first_seq + count, journal.sealed_end))
            if seq >= end_seq:
                continue
            if self._suspect[:2] != (seq, end_seq):
                self._suspect = (seq, end_seq, ack.log_size, now_ms)
            elif self._suspect[2] < ack.log_size or now_ms - self._suspect[3] >= ASKED_MS:
                journal.lose(seq, end_seq - seq, None, LOST_DAMAGED)
                self._suspect = (-1, 0, 0, 0)
            return

    def _not_held(self, seq: int, end_seq: int) -> tuple[int, int]:
        """The first part of [seq, end_seq) that no pending statement covers."""
        for entry in self._journal.pending():
            if entry.kind != "readings" or entry.first_seq + entry.count <= seq:
                continue
            if entry.first_seq > seq:
                return seq, min(end_seq, entry.first_seq)
            seq = entry.first_seq + entry.count
        return seq, end_seq
