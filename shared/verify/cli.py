"""`meterproof verify FILE --policy POLICY`: the shell around the verifier, the same in the server's command and in the single-file
zipapp.

In: two paths. Out: text or JSON on standard output and an exit code: 0 proven, 1 refused, 2 wrong usage or unreadable input, 3
consistent but trusted by nobody the caller named. Never opens anything but the two files, never uses the network.
"""

import sys
from typing import Any, NamedTuple

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

HELP = """\
Usage: {program} [--policy POLICY] [--json] FILE

  Verify offline that one meter reading is what a device signed and a ledger kept.

Options:
  --policy POLICY  Your policy file (TOML): the chain, its genesis and the node
                   keys you trust.
  --json           Print the outcome as JSON.
  -h, --help       Show this message and exit.

  Example: {program} reading.evidence --policy policy.toml

  Exit codes: 0 proven, 1 refused, 2 wrong usage or unreadable input,
  3 consistent but trusted by nobody you named."""


class UsageError(Exception):
    """A command line that says nothing clear."""


class Options(NamedTuple):
    """What the command line asked for; without a file only if it asked for help."""

    file: str
    policy: str | None
    as_json: bool
    wants_help: bool


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


def _say_unreadable(error: OSError | DecodeError | UsageError, as_json: bool) -> int:
    text = f"cannot read {error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    if as_json:
        family = "OSError" if isinstance(error, OSError) else type(error).__name__
        found = {"code": error.code if isinstance(error, DecodeError) else None, "family": family, "message": text}
        _print_json({"verdict": VERDICTS[UNREADABLE], "exit": UNREADABLE, "error": found})
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


def read_arguments(arguments: list[str]) -> Options:
    """The command line; `--policy P` and `--policy=P` are the same, options may stand anywhere, after `--` there are none.

    By hand: argparse takes as long to load as everything else here. Raises UsageError.
    """
    files: list[str] = []
    policy: str | None = None
    as_json = wants_help = False
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--":
            files, left = files + left, []
        elif word in ("-h", "--help"):
            wants_help = True
        elif word == "--json":
            as_json = True
        elif word == "--policy" or word.startswith("--policy="):
            if policy is not None or word == "--policy" and not left:
                raise UsageError("--policy: one file, once")
            policy = word[9:] if word != "--policy" else left.pop(0)
        elif word.startswith("-") and word != "-":
            raise UsageError(f"no such option: {word}")
        else:
            files.append(word)
    if len(files) != 1 and not wants_help:
        raise UsageError("one evidence file is needed" + (f", not {len(files)}" if files else ""))
    return Options(files[0] if files else "", policy, as_json, wants_help)


def main(arguments: list[str] | None = None) -> int:
    """The command line. Any error that is not one of ours is our bug, and ends as refused: the verifier fails closed."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without ✓ still gets the answer
    program = "meterproof-verify" if arguments is None else "meterproof verify"
    given = sys.argv[1:] if arguments is None else arguments
    try:
        options = read_arguments(given)
    except UsageError as error:
        return _say_unreadable(UsageError(f"{error}; {program} --help says more"), "--json" in given)
    if options.wants_help:
        print(HELP.format(program=program))
        return PROVEN
    try:
        return run(options.file, options.policy, options.as_json)
    except Exception as error:  # noqa: BLE001 - the one broad except of this process
        print(f"internal error, nothing proven: {type(error).__name__}", file=sys.stderr)
        return REFUSED
