"""`meterproof verify FILE --policy POLICY`: the shell around the verifier, the same in the server's command and in the single-file
zipapp.

In: two paths. Out: text or JSON on standard output and an exit code: 0 proven, 1 refused, 2 wrong usage or unreadable input, 3
consistent but trusted by nobody the caller named. Never opens anything but the two files, never uses the network.
"""

import sys
from typing import Any

from ..errors import DecodeError, MeterproofError
from . import report
from .evidence import FILE_BYTES_MAX
from .policy import POLICY_BYTES_MAX, Policy, decode_policy
from .verifier import Report, Step, verify_evidence

PROVEN = 0
REFUSED = 1
UNREADABLE = 2
UNTRUSTED = 3
VERDICTS = {PROVEN: "proven", REFUSED: "refused", UNREADABLE: "unreadable", UNTRUSTED: "consistent"}
VERDICT_LINES = {
    PROVEN: "PROVEN under your policy.",
    REFUSED: "REFUSED: this file proves nothing.",
    UNTRUSTED: "Consistent, but trusted by nobody you named. Name whom you trust with --policy.",
}


def run(path: str, policy_path: str | None = None, as_json: bool = False) -> int:
    """Verifies one file and prints the outcome; returns the exit code."""
    try:
        policy = decode_policy(_read(policy_path, POLICY_BYTES_MAX)) if policy_path is not None else None
        data = _read(path, FILE_BYTES_MAX)
    except (OSError, DecodeError) as error:
        return _say_unreadable(error, as_json)
    passed: list[Step] = []
    try:
        outcome = verify_evidence(data, policy, passed)
    except MeterproofError as error:
        return _say(path, passed, error, None, policy, policy_path, as_json)
    return _say(path, passed, None, outcome, policy, policy_path, as_json)


def _read(path: str, bytes_max: int) -> bytes:
    """One byte more than allowed is enough to refuse a file for its length."""
    with open(path, "rb") as file:
        return file.read(bytes_max + 1)


def _say_unreadable(error: OSError | DecodeError, as_json: bool) -> int:
    text = f"cannot read {error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    if as_json:
        _print_json({"verdict": VERDICTS[UNREADABLE], "exit": UNREADABLE, "error": text})
    else:
        print(report.printable(text), file=sys.stderr)
    return UNREADABLE


def _say(
    path: str,
    passed: list[Step],
    error: MeterproofError | None,
    outcome: Report | None,
    policy: Policy | None,
    policy_path: str | None,
    as_json: bool,
) -> int:
    code = REFUSED if outcome is None else PROVEN if outcome.trusted else UNTRUSTED
    if as_json:
        values = {"verdict": VERDICTS[code], "exit": code, **report.steps_values(passed, error)}
        _print_json({**values, **(report.report_values(outcome) if outcome else {})})
        return code
    lines = [f"Evidence file {report.printable(path)}", *report.step_lines(passed, error)]
    if outcome:
        lines += report.report_lines(outcome, policy, policy_path or "")
    print("\n".join([*lines, "", VERDICT_LINES[code]]))
    return code


def _print_json(values: dict[str, Any]) -> None:
    import json  # only here: it would cost every other run some milliseconds

    print(json.dumps(values, indent=2))


def main(arguments: list[str] | None = None) -> int:
    """The command line. Any error that is not one of ours is our bug, and ends as refused: the verifier fails closed."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="meterproof-verify" if arguments is None else "meterproof verify",
        description="Verify offline that one meter reading is what a device signed and a ledger kept.",
        epilog="exit codes: 0 proven, 1 refused, 2 wrong usage or unreadable input, 3 consistent but trusted by nobody you named",
    )
    parser.add_argument("file", help="evidence file")
    parser.add_argument("--policy", help="your policy file (TOML): the chain, its genesis and the node keys you trust")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ✓ still gets the answer
    try:
        return run(options.file, options.policy, options.json)
    except Exception as error:  # noqa: BLE001 - the one broad except of this process
        print(f"internal error, nothing proven: {type(error).__name__}", file=sys.stderr)
        return REFUSED
