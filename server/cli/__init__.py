"""The `meterproof` command: one file for each group, and one place where errors become words and exit codes.

In: arguments. Out: text or JSON, an exit code. Never shows a traceback unless METERPROOF_DEBUG is set, and never a secret.
"""

from collections.abc import Sequence

import click

from shared.errors import MeterproofError

from . import device, enroll, evidence, firmware, home, key, org, point, review, run, tools
from .common import EXIT_HELP, environment_debug, exit_code

EXIT_USAGE = 2
EXIT_FAULT = 70
EXIT_INTERRUPTED = 130


@click.group(epilog=EXIT_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Signed meter readings, ordered, anchored and provable offline.

    \b
    A first backend:
      meterproof init ./home --org "Sunny Fields"
      meterproof serve --home ./home
    A demonstration of the whole line:
      meterproof demo
    """


for command in (home.init, run.serve, run.broker, org.org, key.key, point.point, device.device, firmware.firmware, evidence.evidence):
    cli.add_command(command)
for command in (review.findings, review.quarantine, review.status, tools.verify, tools.fsck, tools.demo, tools.bench, tools.version):
    cli.add_command(command)
for command in (enroll.pending, enroll.show_evidence, enroll.enroll):
    device.device.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command; returns the exit code."""
    try:
        result = cli.main(arguments, prog_name="meterproof", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except MeterproofError as error:
        click.echo(f"Error: {error}", err=True)
        return exit_code(error)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Aborted.", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:  # the one broad except of this process
        if environment_debug():
            raise
        click.echo(f"Error: a fault of the program ({type(error).__name__}: {error}). METERPROOF_DEBUG=1 shows where.", err=True)
        return EXIT_FAULT
