"""`meterproof findings`, `quarantine` and `status`: what an operator looks at every day."""

import click

from shared import ids
from shared.codes import CODES

from .common import DEVICE, Session, columns, pairs, session_options, with_query
from .device import time_text
from .groups import EXIT_HELP


@click.command(epilog=EXIT_HELP)
@click.option("--device", "device_id", type=DEVICE, help="Only this device.")
@click.option("--after", type=click.IntRange(0), help="Only beyond this log index.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@session_options
def findings(session: Session, device_id: bytes | None, after: int | None, limit: int) -> None:
    """List findings: logged statements with something odd about them (gaps, backward registers, clocks).

    \b
    Example:
      meterproof findings --device mpdev1… --limit 20
    """
    device = None if device_id is None else ids.encode_id(ids.DEVICE, device_id)
    values = session.get_allowed_json(with_query("/v1/findings", device=device, after=after, limit=limit))
    rows = [(v["log_index"], v["device"], v["kind"], v["detail"]) for v in values]
    session.emit(values, columns(("log index", "device", "finding", "detail"), rows))


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


@click.command(epilog=EXIT_HELP)
@session_options
def status(session: Session) -> None:
    """Show how the backend is: chain, logs, what waits for people.

    \b
    Example:
      meterproof status --home ./home
    """
    value = session.client.get_json("/v1/status")
    session.emit(value, pairs(list(value.items())))
