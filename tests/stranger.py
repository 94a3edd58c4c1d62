"""Somebody with a file, a policy of their own and Python. In: paths. Out: what the verifier says; spoiled and forged files. Contains no
test.
"""

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from server.demo.backend import CLI
from shared.types import Reading
from shared.verify.build import build_zipapp
from tests.verify.world import World


@dataclass(frozen=True)
class Said:
    """Exit code and words."""

    code: int
    text: str


@dataclass(frozen=True)
class Stranger:
    """`command` is their verifier."""

    command: tuple[str, ...]

    @classmethod
    def with_command(cls) -> "Stranger":
        return cls((*CLI, "verify"))

    @classmethod
    def with_zipapp(cls, path: Path) -> "Stranger":
        """One file, and a Python without any package beyond its own library."""
        build_zipapp(path)
        return cls((sys.executable, "-S", "-I", str(path)))

    def verifies(self, evidence: Path, policy: Path | None) -> Said:
        options = [] if policy is None else ["--policy", str(policy)]
        done = subprocess.run([*self.command, str(evidence), *options], capture_output=True, text=True, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout)


def change_a_byte(evidence: Path) -> Path:
    """A copy with one bit of one byte changed."""
    data = bytearray(evidence.read_bytes())
    data[len(data) // 2] ^= 1
    changed = evidence.with_suffix(".changed")
    changed.write_bytes(data)
    return changed


def forge(policy: Path, path: Path) -> Path:
    """A file that agrees with itself and with everything a policy makes public, but for the keys: those are the forger's."""
    known = tomllib.loads(policy.read_text())
    world = World("forger")
    world.chain_id, world.genesis = known["chain_id"], bytes.fromhex(known["genesis"])
    world.table = world.table._replace(serial="SERF-0001")
    world.assigned_serial = world.table.serial
    world.readings = [Reading(reading.seq, reading.time_s, [0, 999_999], 0) for reading in world.readings]
    path.write_bytes(world.file())
    return path
