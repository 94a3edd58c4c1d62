"""Runs one check function over one JSON file: `runner.py MODULE FUNCTION JSON_FILE`, under MicroPython.

In: the name of a module in this folder, of a function in it, and a file. Out: the line `checked N`.
Never hides a failure: an AssertionError ends it with a traceback.
"""

import json
import sys


def report(count: int) -> None:
    """The last line of every script here: how many cases were checked, never none."""
    assert count > 0, "nothing was checked"
    print("checked", count)


def main(module: str, function: str, path: str) -> None:
    with open(path) as file:
        data = json.load(file)
    report(getattr(__import__(module), function)(data))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
