"""All commands but the verifier's short way, and the one place where errors become words and exit codes.

In: arguments. Out: text or JSON, an exit code. Never shows a traceback unless METERPROOF_DEBUG is set, and never a secret.
"""

import json
import os
from collections.abc import Sequence

import click

from shared.errors import MeterproofError

from .groups import EXIT_HELP, Group
from .words import printable

EXIT_CODES = {1: 2, 2: 1, 3: 1, 4: 4}
EXIT_USAGE = 2
EXIT_FAULT = 70
EXIT_INTERRUPTED = 130
MODULES = {
    "backup": "backup",
    "bench": "tools",
    "broker": "run",
    "confirm-head": "backup",
    "demo": "tools",
    "device": "device",
    "evidence": "evidence",
    "findings": "review",
    "firmware": "firmware",
    "fsck": "tools",
    "init": "home",
    "key": "key",
    "org": "org",
    "point": "point",
    "quarantine": "review",
    "restore": "backup",
    "serve": "run",
    "status": "review",
    "verify": "tools",
    "version": "tools",
}


@click.group(
    cls=Group, modules=MODULES, epilog=EXIT_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
def cli() -> None:
    """Signed meter readings, ordered, anchored and provable offline.

    \b
    A first backend:
      meterproof init ./home --org "Sunny Fields"
      meterproof serve --home ./home
    A demonstration of the whole line:
      meterproof demo
    """


def run(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit code."""
    as_json = "--json" in arguments
    try:
        result = cli.main(list(arguments), prog_name="meterproof", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except MeterproofError as error:
        say(error.code, type(error).__name__, str(error), as_json)
        return EXIT_CODES[error.code // 100]
    except click.ClickException as error:
        if not as_json:
            error.show()
        else:
            say(None, "UsageError", error.format_message(), as_json)
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        if as_json:
            say(None, "Aborted", "aborted", as_json)
        else:
            click.echo("Aborted.", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:  # the one broad except of this process
        if os.environ.get("METERPROOF_DEBUG", "") not in ("", "0"):
            raise
        text = f"a fault of the program ({type(error).__name__}: {error}). METERPROOF_DEBUG=1 shows where."
        say(None, "Fault", text, as_json)
        return EXIT_FAULT


def say(code: int | None, family: str, message: str, as_json: bool) -> None:
    """An error for people, or for programs: on stderr both, since stdout is for what was asked for."""
    values = {"error": {"code": code, "family": family, "message": message}}
    click.echo(printable(json.dumps(values, ensure_ascii=False) if as_json else f"Error: {message}"), err=True)
