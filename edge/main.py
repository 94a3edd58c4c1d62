"""Starts the device. In: the path of the JSON config (edge/config.py). Out: an exit code; a status line every `status_s`.

    micropython -X heapsize=128k -m edge.main CONFIG.json        MICROPYPATH = IMAGE:.frozen, IMAGE holds edge/ and shared/
    python -m edge.main CONFIG.json                              PYTHONPATH = the image

With `drain` after the config it takes no reading: it signs and sends what it still holds and ends when all of that is acked (before a
device is taken away). Killing it at any time is safe; SIGTERM on a gateway ends it cleanly.
Exit codes: 0 stopped, 1 a fault (start it again), 2 it cannot start as configured.
"""

import sys

from edge.memory import collect_often


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3) or arguments[2:] not in ([], ["drain"]):
        print("usage: edge.main CONFIG.json [drain]", file=sys.stderr)
        return 2
    collect_often()
    from edge import device  # only now: code takes most of the heap, and most of what loading it leaves is garbage

    return device.start(arguments[1], len(arguments) == 3)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
