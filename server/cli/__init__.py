"""The `meterproof` command: its entry point. `verify` goes straight to the verifier, which imports nothing else of ours; every other
command is in a file of its own, loaded when it is asked for.

In: arguments. Out: an exit code. Never imports click or the backend to verify a file.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["verify"]:
        from shared.verify.cli import main as verify

        code: int = verify(given[1:])
        return code
    from .app import run

    return run(given)
