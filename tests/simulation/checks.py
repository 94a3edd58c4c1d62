"""What must hold after every step: an ack promises nothing that the disk does not hold, a device lets nothing go that the log has not, and
in the end every reading is accounted for.

In: answers as they are published, what devices free, seal and hold. Out: violations. Never asks the backend what it believes.
"""

from typing import Any

from shared import cose, messages
from shared.errors import MeterproofError
from tests.simulation.device import Sealed, SimDevice
from tests.simulation.disk import Disk
from tests.simulation.spans import Known, Spans


class Checks(Disk):
    """The judge of one run."""

    # --- promises

    def on_answer(self, topic: str, payload: bytes) -> None:
        """The backend publishes an answer: an ack is judged by what the disk holds at this moment."""
        if not topic.endswith("/ack"):
            return
        self.checks += 1
        signed = cose.decode_sign1(payload, (cose.CT_ACK, cose.CT_REFUSAL))
        try:
            cose.verify_sign1(signed, self._node_key.cose_key)
        except MeterproofError as error:
            self.fail(f"an answer that the node did not sign: {error}")
        if signed.content_type == cose.CT_REFUSAL:
            refusal = messages.decode_refusal(signed.payload)
            if refusal.identity in self.identities:
                self.fail(f"a refusal of {refusal.identity.hex()[:8]}, which is in the log")
            return
        ack = messages.decode_ack(signed.payload)
        self.acked += 1
        self._trace.note("acked", f"next {ack.next_seq} missing {len(ack.missing)} size {ack.log_size}")
        known = self.known.get(ack.device, Known())
        if ack.log_size > len(self.entries):
            self.fail(f"an ack of log size {ack.log_size} while {len(self.entries)} are committed")
        if not known.covered.covers(0, ack.next_seq):
            self.fail(f"an ack below {ack.next_seq}, the log covers {known.covered.spans}")
        for first_seq, count in ack.missing:
            if known.covered.touches(first_seq, first_seq + count):
                self.fail(f"an ack misses {first_seq}+{count}, which the log covers")
        self._check_head(ack, known)

    def _check_head(self, ack: Any, known: Known) -> None:
        if ack.identity is None:
            return
        if ack.identity not in self.identities:
            self.fail("an ack names a head that is not in the log")
        device = self.devices.get(ack.device)
        if device is None:
            return
        for sealed in device.sealed:
            if not self._is_there(sealed, known):
                self.fail(f"{device.name}: an ack up to {ack.identity.hex()[:8]}, but {sealed.identity.hex()[:8]} before it is missing")
            if sealed.identity == ack.identity:
                return

    def _is_there(self, sealed: Sealed, known: Known) -> bool:
        """In the log, or named lost; a time repair may get lost."""
        if sealed.kind != "readings" or sealed.identity in self.identities or sealed.identity in known.lost_identities:
            return True
        return known.covered.covers(sealed.first_seq, sealed.first_seq + sealed.count)

    def on_freed(self, device: SimDevice, identities: list[bytes]) -> None:
        """A device lets statements go: the log must have them."""
        self.checks += 1
        known = self.known.get(device.id, Known())
        by_identity = {sealed.identity: sealed for sealed in device.sealed}
        for identity in identities:
            sealed = by_identity[identity]
            self._trace.note("freed", f"{device.name} {identity.hex()[:8]}")
            if identity in self.identities or sealed.kind == "time-repair":
                continue
            if sealed.kind == "readings" or not known.covered.spans:
                self.fail(f"{device.name} freed {sealed.kind} {identity.hex()[:8]}, which is not in the log")

    # --- at the end

    def check_device(self, device: SimDevice) -> None:
        """Every reading ever taken is in the log, named lost by a signed gap that is, or still held."""
        self.checks += 1
        known = self.known.get(device.id, Known())
        places = [known.logged, known.lost, Spans(device.held())]
        if device.revoked:  # refused bundles, and gaps that nobody would log any more
            places.append(Spans((s.first_seq, s.first_seq + s.count) for s in device.sealed if s.identity in device.refused and s.count))
            places.append(Spans(device.named))
        for seq in device.taken:
            if not any(spans.covers(seq, seq + 1) for spans in places):
                self.fail(f"{device.name}: reading {seq} is nowhere: not in the log, not named lost, not on the device")
                return

    def check_chains(self) -> None:
        """Each statement follows one that is logged or named lost, or the log says that it does not. Of losses that a device has joined,
        only the last identity is named; the others are by their sequences."""
        broken = {
            (row[0], row[1]) for row in self._query("evidence.sqlite", "SELECT device, detail FROM findings WHERE kind = 'chain-break'")
        }
        for id_, device in self.devices.items():
            known = self.known.get(id_, Known())
            named = {s.identity for s in device.sealed if s.kind == "readings" and known.lost.covers(s.first_seq, s.first_seq + s.count)}
            for place, (identity, previous, kind) in enumerate(known.statements):
                if previous is None or previous in self.identities or previous in known.lost_identities | named:
                    continue
                if (id_, f"after {previous.hex()}") not in broken:
                    where = f"{kind} {identity.hex()[:8]} ({place}) follows {previous.hex()[:8]}"
                    self.fail(f"{device.name}: {where}, which is nowhere, and no finding says so")

    def findings(self, kind: str) -> list[tuple[bytes, str]]:
        return [(row[0], row[1]) for row in self._query("evidence.sqlite", "SELECT device, detail FROM findings WHERE kind = ?", kind)]
