"""What lies on the backend's disk, read by somebody who asks nobody: tiles, rows and ledger entries, checked as they are committed.

In: the home, after each commit and after each death. Out: entries, coverage by device, roots; violations. By code of the tests where there
is any, and `shared/` for what a statement is.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.evidence.packing import unpack_rows
from shared import bundle, cbor, cose, merkle, note
from shared.errors import MeterproofError
from shared.statement import open_statement
from tests.simulation.device import SimDevice
from tests.simulation.faults import Trace
from tests.simulation.spans import Known, Peaks

_connect = sqlite3.connect  # the real one: the checkers' reading is no part of the run


class Disk:
    """`fail(text)` is called for each violation; `devices`: the honest ones by id; `keys`: of all that are enrolled."""

    def __init__(self, trace: Trace, origin: str, node_key: Any, chain: str, fail: Callable[[str], None]) -> None:
        self.fail = fail
        self._trace = trace
        self._origin = origin
        self._node_key = node_key
        self._chain = chain
        self.home = Path()
        self.devices: dict[bytes, SimDevice] = {}
        self.keys: dict[bytes, bytes] = {}
        self.entries: list[bytes] = []
        self.rows: list[tuple[Any, ...] | None] = []
        self.identities: dict[bytes, int] = {}
        self.known: dict[bytes, Known] = {}
        self.roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        self.ledger: list[bytes] = []
        self.ledger_roots: dict[int, bytes] = {0: merkle.EMPTY_ROOT}
        self.height = 0
        self.acked = 0
        self.checks = 0
        self._peaks, self._ledger_peaks = Peaks(), Peaks()
        self._connections: dict[str, sqlite3.Connection] = {}
        self._published: dict[str, bytes] = {}

    # --- reading the disk

    def open_home(self, home: Path) -> None:
        """Another home stands where the old one stood: all that was committed must be in it."""
        for conn in self._connections.values():
            conn.close()
        self.home, self._connections = home, {}
        for file, read in (("evidence.sqlite", self.read_log), ("ledger.sqlite", self.read_ledger)):
            if (home / file).exists():
                read(again=True)
            elif self.entries or self.ledger:
                self.fail(f"{file} is gone")

    def close(self) -> None:
        """At the end of a run."""
        for conn in self._connections.values():
            conn.close()

    def _query(self, file: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
        conn = self._connections.get(file)
        if conn is None:
            conn = self._connections[file] = _connect(f"file:{self.home / file}?mode=ro", uri=True, isolation_level=None)
        return conn.execute(sql, values).fetchall()

    def on_commit(self, file: str) -> None:
        """Something was committed."""
        self.checks += 1
        try:
            if file == "evidence.sqlite":
                self.read_log()
            elif file == "ledger.sqlite":
                self.read_ledger()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # the schema is being made
                raise

    def read_log(self, again: bool = False) -> None:
        """New entries under the trusted head, each with its rows; with `again` the old ones too."""
        found = self._query("evidence.sqlite", "SELECT origin, size, root, checkpoint FROM head")
        if not found:
            if self.entries:
                self.fail("the trusted head is gone")
            return
        origin, size, root, checkpoint = found[0]
        if size < len(self.entries):
            self.fail(f"the log shrank from {len(self.entries)} to {size}")
            return
        low = 0 if again else len(self.entries)
        query = "SELECT log_index, salt, body FROM rows WHERE log_index >= ?"
        rows = {row[0]: row[1:] for row in self._query("evidence.sqlite", query, low)}
        for index, data in enumerate(self._stored(low, size), low):
            if index < len(self.entries):
                if (data, rows.get(index)) != (self.entries[index], self.rows[index]):
                    self.fail(f"entry {index} of the log or its rows have changed")
                continue
            self._add(index, data)
            self.rows.append(rows.get(index))
            self._check_rows(index, data, rows.get(index))
        if self.roots.setdefault(size, self._peaks.root()) != root:
            self.fail(f"the head of {size} entries is not their root")
        self._check_note(checkpoint, origin, size, root)
        self.check_published()

    def _stored(self, low: int, high: int) -> list[bytes]:
        """Entries from the entry bundles."""
        out: list[bytes] = []
        for number in range(low // 256, (high + 255) // 256):
            need = min(256, high - 256 * number)
            data = self._bundle(number, need)
            if data is None:
                self.fail(f"no entry bundle {number} of {need} entries")
                return out
            found, at = [], 0
            while at < len(data):
                end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                found.append(data[at + 2 : end])
                at = end
            out += found[max(low - 256 * number, 0) : need]
        return out

    def _bundle(self, number: int, need: int) -> bytes | None:
        path = self.home / "evidence-log" / "tile" / "entries" / f"{number:03d}"
        if path.exists():
            return path.read_bytes()
        folder = Path(f"{path}.p")
        widths = (
            sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit() and int(one.name) >= need) if folder.exists() else []
        )
        return (folder / str(widths[0])).read_bytes() if widths else None

    def _add(self, index: int, data: bytes) -> None:
        signed, statement = open_statement(data)
        self.entries.append(data)
        self._peaks.add(data)
        if signed.identity in self.identities:
            self.fail(f"identity {signed.identity.hex()[:8]} is in the log twice: {self.identities[signed.identity]} and {index}")
        self.identities[signed.identity] = index
        key = self.keys.get(statement.device)
        if key is None or signed.kid != cose.kid_of(key):
            self.fail(f"entry {index} is of a device or key that nobody enrolled")
        else:
            try:
                cose.verify_sign1(signed, key)
            except MeterproofError as error:
                self.fail(f"entry {index}: {error}")
        known = self.known.setdefault(statement.device, Known())
        known.statements.append((signed.identity, statement.previous, statement.kind))
        self._trace.note("logged", f"{index} {signed.identity.hex()[:8]} {statement.kind} {statement.first_seq} {statement.count}")
        if statement.kind == "readings":
            end = statement.first_seq + statement.count
            known.clash |= known.logged.touches(statement.first_seq, end)
            known.logged.add(statement.first_seq, end)
            known.covered.add(statement.first_seq, end)
        for item in statement.lost or ():
            known.lost.add(item.first_seq, item.first_seq + item.count)
            known.covered.add(item.first_seq, item.first_seq + item.count)
            if item.identity is not None:
                known.lost_identities.add(item.identity)

    def _check_rows(self, index: int, data: bytes, row: tuple[Any, ...] | None) -> None:
        """The rows are there and are what was signed; those of an honest device are what its meter said."""
        _, statement = open_statement(data)
        if row is None:
            self.fail(f"entry {index} is in the log without its rows")
            return
        try:
            readings = bundle.check_rows(statement, row[0], None if row[1] is None else cbor.decode(unpack_rows(row[1])))
        except MeterproofError as error:
            self.fail(f"rows of entry {index}: {error}")
            return
        device = self.devices.get(statement.device)
        if device is None:
            return
        for reading in readings:
            said = (reading.time_s, tuple(reading.registers), reading.status)
            if device.taken.get(reading.seq) != said:
                self.fail(f"{device.name}: sequence {reading.seq} in the log is {said}, taken was {device.taken.get(reading.seq)}")
                return

    def _check_note(self, data: bytes, origin: str, size: int, root: bytes) -> None:
        vkey = note.Vkey(self._origin, note.key_id_of(self._origin, self._node_key.raw), self._node_key.raw)
        try:
            checkpoint, _ = note.open_checkpoint(data, [vkey])
        except MeterproofError as error:
            self.fail(f"the head's checkpoint: {error}")
            return
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (origin, size, root):
            self.fail("the head's checkpoint says something else than the head")

    def check_published(self) -> None:
        """What everybody can see never says more than what is committed."""
        for folder, roots in (("evidence-log", self.roots), ("ledger-log", self.ledger_roots)):
            path = self.home / folder / "checkpoint"
            if not path.exists():
                continue
            data = path.read_bytes()
            if self._published.get(folder) == data:
                continue
            self._published[folder] = data
            checkpoint = note.decode_checkpoint(note.decode_note(data).text)
            if roots.get(checkpoint.size) != checkpoint.root:
                self.fail(f"{folder} publishes a checkpoint of {checkpoint.size} entries that was never committed")

    def read_ledger(self, again: bool = False) -> None:
        """Each app hash is the root of everything before it and what is new."""
        found = self._query("ledger.sqlite", "SELECT height, app_hash, log_size FROM head")
        if not found:
            return
        height, app_hash, size = found[0]
        if height < self.height or size < len(self.ledger):
            self.fail(f"the ledger went back from block {self.height} to {height}")
            return
        low = 0 if again else len(self.ledger)
        for place, data in self._query("ledger.sqlite", "SELECT place, data FROM entry WHERE place >= ? ORDER BY place", low):
            if place < len(self.ledger):
                if self.ledger[place] != data:
                    self.fail(f"entry {place} of the ledger log has changed")
            else:
                self.ledger.append(data)
                self._ledger_peaks.add(data)
        self.height = height
        if len(self.ledger) != size or self.ledger_roots.setdefault(size, self._ledger_peaks.root()) != app_hash:
            self.fail(f"the app hash of block {height} does not extend the one before")
        self._trace.note("block", f"{height} {size}")
