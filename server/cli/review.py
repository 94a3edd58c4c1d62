"""`meterproof status`, `findings` and `quarantine`: what an operator looks at every day.

In: the backend's lists. Out: words for people, or JSON. Never decides what is wrong: that is server/health's; here it is only said.
"""

from collections.abc import Iterator
from typing import Any

import click

from server.health import advice
from shared import ids
from shared.codes import CODES
from shared.errors import Unavailable

from .common import DEVICE, Session, columns, session_options, with_query
from .device import time_text
from .groups import EXIT_HELP
from .words import ago_text, counted, wrapped

EXIT_NEEDS_A_PERSON = 3
DEVICES_SHOWN = 5


@click.command(epilog=EXIT_HELP)
@click.option("--device", "device_id", type=DEVICE, help="Only this device.")
@click.option("--after", type=click.IntRange(0), help="Only beyond this log index.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@session_options
def findings(session: Session, device_id: bytes | None, after: int | None, limit: int) -> None:
    """List findings: what was odd about logged statements, what it means and what to do.

    \b
    Example:
      meterproof findings --device mpdev1… --limit 20
    """
    device = None if device_id is None else ids.encode_id(ids.DEVICE, device_id)
    values = session.get_allowed_json(with_query("/v1/findings", device=device, after=after, limit=limit))
    for value in values:
        value["what"], value["do"] = said_of(value["kind"])
    session.emit(values, findings_text(values))


def said_of(kind: str) -> tuple[str, str]:
    """What a kind of finding means and what to do about it."""
    known = advice.DEVICES.get(kind)
    return (known.what, known.do) if known else ("", "")


def findings_text(values: list[dict[str, Any]]) -> str:
    """By kind, each with its meaning; within it as they came."""
    parts = []
    for kind in dict.fromkeys(value["kind"] for value in values):
        of_kind = [value for value in values if value["kind"] == kind]
        rows = [(time_text(v["received_s"]), v["log_index"], v["device"], v["detail"]) for v in of_kind]
        table = columns(("received", "log index", "device", "detail"), rows)
        what, do = of_kind[0]["what"], of_kind[0]["do"]
        parts.append("\n".join([f"{kind} ({len(of_kind)})", *wrapped(what, "  "), *wrapped(f"Do: {do}", "  "), table]))
    return "\n\n".join(parts) or "none"


@click.command(epilog=EXIT_HELP)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@session_options
def quarantine(session: Session, limit: int) -> None:
    """List messages that were not let in, with the reason, newest first.

    \b
    Example:
      meterproof quarantine --limit 20
    """
    values = session.get_allowed_json(with_query("/v1/quarantine", limit=limit))
    rows = [(v["id"], time_text(v["received_s"]), v["code"], CODES.get(v["code"], ""), v["bytes"], v["topic"], v["reason"]) for v in values]
    session.emit(values, columns(("number", "received", "code", "name", "bytes", "topic", "reason"), rows))


@click.command(epilog=EXIT_HELP + " status: 3 if something needs a person.")
@click.option("--all", "show_all", is_flag=True, help="Name every device, not only some of each kind.")
@session_options
def status(session: Session, show_all: bool) -> int:
    """Show what is wrong, since when and what to do; then the node's numbers.

    \b
    Example: for a watchdog; ends with 3 if something needs a person.
      meterproof status --home ./home || notify

    People see their own organization's devices; of the node itself, people of its founding organization see what is wrong.
    """
    value = {**session.client.get_json("/v1/status"), "numbers": None, "quarantine": None, "devices": None, "unseen": None}
    try:
        value |= session.get_allowed_json("/v1/troubles")
    except Unavailable as error:
        if error.code == 410:
            raise
        value["unseen"] = str(error)  # no store can be written, so no token used: what is wrong with the node itself is known all the same
    value["needs_person"] = sum(trouble["act"] for trouble in value["troubles"])
    session.emit(value, status_text(value, show_all))
    return EXIT_NEEDS_A_PERSON if value["needs_person"] else 0


def status_text(value: dict[str, Any], show_all: bool = False) -> str:
    """For people: trouble first."""
    now_s, troubles = value["now_s"], value["troubles"]
    lines = wrapped(f"DEVICES AND QUARANTINE CANNOT BE SHOWN NOW: {value['unseen']}", "") + [""] if value["unseen"] else []
    for act, title in ((True, "NEEDS A PERSON"), (False, "WORTH A LOOK")):
        chosen = [trouble for trouble in troubles if trouble["act"] == act]
        if chosen:
            lines.append(f"{title} ({len(chosen)})")
            for trouble in chosen:
                lines += ["", *trouble_lines(trouble, now_s, show_all)]
            lines.append("")
    if not troubles:
        lines += ["Nothing is wrong.", ""]
    return "\n".join([*lines, *number_lines(value)])


def trouble_lines(trouble: dict[str, Any], now_s: int, show_all: bool) -> Iterator[str]:
    """Kind, since when, what it means, what to do, whom it concerns."""
    devices, total = trouble.get("devices", []), trouble.get("devices_total", 0)
    count = f", {total} devices" if total > 1 else ""
    yield f"* {trouble['kind']}{count}, {since_text(trouble['since_s'], now_s)}"
    yield from wrapped(trouble["what"], "    ")
    if trouble.get("detail"):
        yield from wrapped(f"({trouble['detail']})", "    ")
    yield from wrapped(f"Do: {trouble['do']}", "    ")
    shown = devices if show_all else devices[:DEVICES_SHOWN]
    for item in shown:
        yield from wrapped("  ".join([item["device"], *item["points"]]), "    ")
        since = since_text(item["since_s"], now_s) if item["since_s"] != trouble["since_s"] else ""
        text = ": ".join(part for part in (since, item["detail"]) if part)
        yield from wrapped(text, "      ")
    if total > len(shown):
        yield f"    … and {total - len(shown)} more (--all)"


def since_text(since_s: int | None, now_s: int) -> str:
    return "since an unknown time" if since_s is None else f"since {time_text(since_s)} ({ago_text(now_s - since_s)})"


def number_lines(value: dict[str, Any]) -> Iterator[str]:
    """The node's numbers; the founding organization's people see more of them."""
    block = f"block {value['height']} of {time_text(value['block_time_s'])} ({ago_text(value['now_s'] - value['block_time_s'])})"
    broker = "connected" if value["broker_connected"] else "NOT CONNECTED"
    starts = ", not ours" if value["broker_starts"] is None else f", {counted(value['broker_starts'], 'start')} since the backend's"
    anchored = f"{value['anchored_size']} of them on the ledger in {counted(value['batches'], 'batch', 'batches')}"
    lines: list[tuple[str, str]] = [
        ("chain", f"{value['chain_id']}, {block}"),
        ("evidence log", f"{counted(value['evidence_log_size'], 'statement')}, {anchored}"),
        ("ledger log", f"{value['ledger_log_size']} entries"),
        ("broker", broker + starts),
        ("messages", listed(value["messages"])),
    ]
    if value["devices"] is not None:
        lines.append(("devices", listed({name.replace("_", " "): count for name, count in value["devices"].items()}, "none enrolled")))
    if value["numbers"] is not None:
        lines += of_node(value["numbers"], value["quarantine"])
    lines.append(("running for", ago_text(value["uptime_s"]).removesuffix(" ago")))
    for name, text in lines:
        yield from wrapped(text, " " * 14, f"{name:<14}")


def of_node(numbers: dict[str, Any], quarantine: list[dict[str, Any]]) -> list[tuple[str, str]]:
    stores = ", ".join(f"{name.split('.')[0]} {size_text(size)}" for name, size in numbers["store_bytes"].items())
    oldest_s = numbers["oldest_unacked_s"]
    codes = {f"{CODES.get(int(code), '')} ({code})": count for code, count in numbers["quarantined"].items()}
    return [
        ("not let in", listed(codes)),
        ("quarantine", kept_text(quarantine)),
        ("unacked", "nothing waits" if oldest_s is None else f"the oldest waits since {ago_text(numbers['now_s'] - oldest_s)}"),
        ("queues", listed({name: queue["length"] for name, queue in numbers["queues"].items()}, "all empty")),
        ("votes due", str(numbers["votes_due"])),
        ("disk", f"{size_text(numbers['disk_free_bytes'])} free; {stores}"),
        ("memory", size_text(numbers["rss_bytes"])),
    ]


def kept_text(rows: list[dict[str, Any]]) -> str:
    """What is in quarantine, by reason, and from when the oldest is."""
    if not rows:
        return "empty"
    kept = listed({f"{CODES.get(row['code'], '')} ({row['code']})": row["count"] for row in rows})
    return f"{kept}; the oldest of {time_text(min(row['first_s'] for row in rows))}"


def listed(counts: dict[str, int], none: str = "none since the start") -> str:
    """12 logged, 3 acked; what is 0 is left out."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or none


def size_text(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"
