"""`meterproof bench`: runs the measurements, prints the table, writes build/bench.json and build/bench.svg.

In: options. Out: exit code 0 whatever holds: a bench reports, it does not judge; 1 when something cannot be measured, 2 for wrong usage.
Never leaves a row out silently, never leaves files outside the folder it is told.
"""

import argparse
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from server.bench import cores, day, device, large, ledger_scale, load, pipeline, primitives, proofs, verifier
from server.bench.picture import build_picture
from server.bench.primitives import Primitives
from server.bench.report import explained, report
from server.bench.rows import Earlier, Row, read_earlier, to_json
from server.bench.scale import FULL, QUICK, Scale
from server.demo.fleet import ROOT
from shared.errors import MeterproofError

WHOLE, PART = "bench.json", "bench-part.json"
PROFILE_LINES = 25
WIDTH_MAX = 160
Measure = Callable[[Path, Scale, Primitives], list[Row]]


@dataclass(frozen=True)
class Section:
    """Rows that are measured together; `needs`: the section that leaves files which this one uses."""

    text: str
    ids: tuple[str, ...]
    measure: Measure
    needs: "Section | None" = None


PRIMITIVES = Section("bare primitives", primitives.IDS, lambda folder, scale, found: primitives.rows(found))
BACKEND = Section("the backend", pipeline.IDS, pipeline.measure)
LEDGER = Section("a large ledger", ledger_scale.IDS, ledger_scale.measure)
CORES = Section("checks on two cores", cores.IDS, cores.measure)
PROOFS = Section("Merkle trees", proofs.IDS, proofs.measure)
LARGE = Section("large logs", large.IDS, large.measure)
VERIFIER = Section("the verifier", verifier.IDS, lambda folder, scale, found: verifier.measure(folder, scale), BACKEND)
DEVICE = Section("the firmware in MicroPython", device.IDS, lambda folder, scale, found: device.measure(folder, scale))
LOAD = Section("a fleet through a real broker", load.IDS, load.measure)
DAY = Section("a day of many devices", day.IDS, lambda folder, scale, found: day.measure(folder, scale))
SECTIONS = (PRIMITIVES, BACKEND, CORES, LEDGER, PROOFS, LARGE, VERIFIER, LOAD, DAY, DEVICE)
ALL_IDS = tuple(name for section in SECTIONS for name in section.ids)


def main(arguments: list[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    wanted = options.only or list(ALL_IDS)
    if unknown := [name for name in wanted if name not in ALL_IDS]:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ALL_IDS)}")
    console, scale = Console(), QUICK if options.quick else FULL
    logging.disable(logging.WARNING)
    try:
        before = read_earlier(options.compare) if options.compare else None
        with tempfile.TemporaryDirectory(prefix="meterproof-bench-") as folder:
            if options.profile:
                pipeline.profile(Path(folder), scale, PROFILE_LINES)
                return 0
            rows = measure(Path(folder), scale, wanted, lambda text: console.print(f"{text} …", style="dim"))
    except MeterproofError as error:
        console.print(f"meterproof bench: {error}", style="red", highlight=False, markup=False)
        return 1
    finally:
        logging.disable(logging.NOTSET)
    out = options.out or ROOT / "build" / (PART if options.quick or options.only else WHOLE)
    write(out, rows, options.quick)
    show(console, rows, before, options.quick, out)
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="meterproof bench", description="Speed and memory, beside the limit measured in the same run.")
    parser.add_argument("--only", nargs="+", metavar="ID", help="measure what these rows need, and show no others")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="an earlier file: show the change of each row")
    parser.add_argument("--quick", action="store_true", help="few repetitions and small inputs: whether it works, not how fast")
    parser.add_argument("--profile", action="store_true", help="only show in which functions the pipeline spends its time")
    parser.add_argument("--out", type=Path, metavar="JSON", help=f"file for the rows, with a picture beside it (default build/{WHOLE};"
                        f" build/{PART} for a part)")  # fmt: skip
    return parser


def measure(folder: Path, scale: Scale, wanted: Sequence[str], tell: Callable[[str], None]) -> list[Row]:
    """The rows wanted, in the order of the sections. Raises what a measurement raises: none is skipped."""
    chosen = [section for section in SECTIONS if set(section.ids) & set(wanted)]
    needed = {section.needs for section in chosen} | set(chosen)
    tell(PRIMITIVES.text)
    found, rows = primitives.measure(folder, scale), []
    for section in SECTIONS:
        if section in needed:
            if section is not PRIMITIVES:
                tell(section.text)
            rows += section.measure(folder, scale, found)
    return [row for row in rows if row.id in wanted]


def write(out: Path, rows: Sequence[Row], quick: bool) -> None:
    """JSON, and the picture beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(to_json(rows, quick), encoding="utf-8")
    subtitle = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}{', quick run' if quick else ''}"
    out.with_suffix(".svg").write_text(build_picture(rows, subtitle), encoding="utf-8")


def show(console: Console, rows: Sequence[Row], before: Earlier | None, quick: bool, out: Path) -> None:
    width = min(console.width, WIDTH_MAX)
    values, earlier_quick = (None, None) if before is None else (before.values, before.quick)
    console.print()
    console.print(report(rows, width, values), width=width)
    places = f"Rows are in {out}, drawn in {out.with_suffix('.svg')}"
    console.print(f"{explained(quick, earlier_quick)}\n{places}", highlight=False, soft_wrap=True)
