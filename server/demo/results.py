"""The end of the demonstration: counts, chart, evidence file, and the command that verifies it.

In: what the meters wrote down, what the backend's files hold by `fsck`. Out: files and a table. A number that does not agree makes
the demonstration fail.
"""

import shutil
import sqlite3
import subprocess
import sys
import time
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from server.demo.backend import CLI, Node
from server.demo.chart import Lane, Outage, build_chart
from server.demo.fleet import Meter
from server.demo.notebooks import percentile
from server.demo.plan import Moment
from server.demo.profile import Profile
from server.demo.screen import folded, results_table
from shared.errors import Unavailable

ANCHOR_TIMEOUT_S = 30
CHART_GAP_PERIODS = 10
POWER = 2  # place of the power register in the SunSpec meter's table
EVIDENCE_BYTES_MAX = 4096
OUTAGE_TEXT = {"broker": "broker down", "meter": "meter-2 killed", "backend": "backend killed"}
Spans = list[tuple[Moment, int, int]]


@dataclass(frozen=True)
class Outcome:
    """All that is shown at the end; `failures` is empty when everything agrees."""

    rows: list[tuple[str, str, str]]
    files: list[tuple[str, Path]]
    verify_command: list[str]
    failures: list[str]

    def show(self, console: Console) -> int:
        console.print()
        console.print(results_table("What happened", self.rows))
        console.print()
        for what, path in self.files:
            console.print(f"{what:<15} {shown(path)}", highlight=False, soft_wrap=True)
        console.print("\nA stranger verifies that one reading, offline, with:\n", highlight=False)
        console.print("  " + " ".join(self.verify_command) + "\n", style="bold", highlight=False, soft_wrap=True)
        done = subprocess.run([*CLI, *self.verify_command[1:]], capture_output=True, text=True)
        said = folded(done.stdout, console.width) if console.is_terminal else done.stdout
        console.print(said, highlight=False, markup=False, soft_wrap=True)
        failures = self.failures + ([] if done.returncode == 0 else [f"verify ended with {done.returncode}: {done.stderr}"])
        for failure in failures:
            console.print(f"FAILED: {failure}", style="red", highlight=False)
        return 1 if failures else 0


def write_outcome(out: Path, node: Node, meters: list[Meter], profile: Profile, start_s: int, spans: Spans) -> Outcome:
    """Asks the running backend for readings and one evidence file, stops it, and recounts its files."""
    readings = {meter.name: node.readings(meter) for meter in meters}
    chart = out / "two-days.svg"
    chart.write_text(draw(meters, readings, profile, start_s, spans), encoding="utf-8")
    evidence, policy = out / "reading.evidence", out / "policy.toml"
    chosen = max(readings[meters[0].name], key=lambda row: -row["registers"][POWER] if row["registers"][POWER] is not None else 0)
    size_bytes = get_evidence(node, meters[0], chosen["seq"], evidence)
    policy.write_bytes((node.home / "policy.toml").read_bytes())
    node.server.stop()
    report = node.cli("fsck")
    rows, failures = count(meters, report, size_bytes, publish_to_checkpoint_ms(node.home, meters))
    verify = [command_here(), "verify", shown(evidence), "--policy", shown(policy)]
    return Outcome(rows, [("chart", chart), ("evidence file", evidence), ("policy", policy), ("logs", out / "logs")], verify, failures)


def get_evidence(node: Node, meter: Meter, seq: int, path: Path) -> int:
    """The size of the file."""
    deadline = time.monotonic() + ANCHOR_TIMEOUT_S
    while True:
        try:
            return int(node.cli("evidence", "get", meter.id, str(seq), "-o", str(path), "--force")["bytes"])
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def count(
    meters: list[Meter], report: dict[str, Any], evidence_bytes: int, latencies: tuple[list[int], list[int]]
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """The table's rows, and what does not agree."""
    lost = {meter.name: len(set(meter.notebook.taken) - stored_sequences(report, meter)) for meter in meters}
    taken = sum(len(meter.notebook.taken) for meter in meters)
    bundles = sum(len(meter.notebook.sealed) for meter in meters)
    failures = [f"{name} lost {missing} readings" for name, missing in lost.items() if missing]
    failures += [f"{meter.name} used {meter.notebook.twice} sequences twice" for meter in meters if meter.notebook.twice]
    failures += [f"fsck: {problem}" for problem in report["problems"] + report["derived_problems"]]
    if taken != report["readings"]:
        failures.append(f"taken {taken}, stored {report['readings']}")
    if evidence_bytes > EVIDENCE_BYTES_MAX:
        failures.append(f"the evidence file has {evidence_bytes} bytes")
    all_ms, once_ms = latencies
    books, files = "by the meters' own notebooks", "by fsck, from tiles, rows and blocks"
    rows = [
        ("readings taken", f"{taken:,}", books),
        ("readings stored", f"{report['readings']:,}", files),
        ("lost", f"{sum(lost.values())}", "taken and not stored, by sequence"),
        ("named lost", f"{report['lost']}", f"in {report['gaps']} gap statements"),
        ("duplicates", f"{report['duplicates']}", "readings stored more than once"),
        ("bundles signed", f"{bundles:,}", books),
        ("statements logged", f"{report['statements']:,}", files),
        ("evidence log size", f"{report['log_size']:,}", f"of them not yet anchored: {report['unanchored']}"),
        ("batches, blocks", f"{report['batches']:,}, {report['blocks']:,}", files),
        ("publish to checkpoint", f"p95 {percentile(once_ms, 95):,} ms", f"outside outages; median {percentile(once_ms, 50):,} ms"),
        ("with outages", f"p95 {percentile(all_ms, 95) / 1000:,.1f} s", "since a bundle was first sent"),
        ("evidence file", f"{evidence_bytes:,} B", "of one reading, up to the checkpoint"),
    ]
    return rows, failures


def stored_sequences(report: dict[str, Any], meter: Meter) -> set[int]:
    spans = report["devices"].get(meter.id, {}).get("sequences", [])
    return {seq for first, length in spans for seq in range(first, first + length)}


def publish_to_checkpoint_ms(home: Path, meters: list[Meter]) -> tuple[list[int], list[int]]:
    """Milliseconds from a statement's first publication to the checkpoint that covers it: of all, and of those published just once."""
    uri = f"file:{home / 'evidence.sqlite'}?mode=ro"
    with sqlite3.connect(uri, uri=True) as database:
        places = {bytes(identity).hex(): index for index, identity in database.execute("SELECT log_index, identity FROM statements")}
        heads = database.execute("SELECT size, signed_ms FROM checkpoints ORDER BY size").fetchall()
    sizes = [size for size, _ in heads]
    everything, once = [], []
    for meter in meters:
        for identity, first_ms in meter.notebook.first_published_ms.items():
            if identity in places:
                signed_ms = heads[bisect_right(sizes, places[identity])][1]
                everything.append(signed_ms - first_ms)
                if meter.notebook.publications[identity] == 1:
                    once.append(signed_ms - first_ms)
    return everything, once


def draw(meters: list[Meter], readings: dict[str, list[dict[str, Any]]], profile: Profile, start_s: int, spans: Spans) -> str:
    """The two days of each meter from what the backend stored; labels are the site's own time of day."""
    lanes = []
    for meter in meters:
        points = sorted((row["time_s"], -row["registers"][POWER]) for row in readings[meter.name] if row["registers"][POWER] is not None)
        lanes.append(Lane(meter.name, meter.interpreter, [point for point in points if point[0] >= start_s]))
    names = [meter.name for meter in meters]
    outages = [
        Outage(moment.kind, start, end, OUTAGE_TEXT[moment.kind], names.index("meter-2") if moment.kind == "meter" else None)
        for moment, start, end in spans
    ]
    first = profile.first_local.replace(tzinfo=UTC)
    zone_offset_s = int(first.timestamp()) - start_s
    last = profile.first_local + timedelta(seconds=profile.duration_s - 1)
    days = f"{profile.first_local:%Y-%m-%d} to {last:%m-%d}"
    subtitle = f"Watts as measured {days}, replayed to end now; hours are the site's own; values as stored by the backend"
    return build_chart("Two days of four meters, and what went wrong", subtitle, lanes, outages, CHART_GAP_PERIODS * 60, zone_offset_s)


def command_here() -> str:
    """What to type for `meterproof` in this shell."""
    return "meterproof" if shutil.which("meterproof") else shown(Path(sys.executable).with_name("meterproof"))


def shown(path: Path) -> str:
    """As a person would type it here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
