"""Starts the device. In: the path of the JSON config (edge/config.py). Out: an exit code; a status line every `status_s`.

    micropython -X heapsize=192k -m edge.main CONFIG.json        MICROPYPATH = IMAGE:.frozen, IMAGE holds edge/ and shared/
    python -m edge.main CONFIG.json                              PYTHONPATH = the image

With `drain` after the config it takes no reading: it signs and sends what it still holds and ends when all of that is acked (before a
device is taken away). Killing it at any time is safe; SIGTERM on a gateway ends it cleanly.
Exit codes: 0 stopped, 1 a fault (start it again), 2 it cannot start as configured.
"""

import asyncio
import sys
from collections import namedtuple

from edge import signer
from edge.memory import collect_often, forget
from shared.errors import MeterproofError

Prepared = namedtuple("Prepared", ("node", "firmware"))
"""The node's key, the firmware hash."""


def prepare(settings: object) -> Prepared:
    """What takes room for a while, comb tables in one piece and the hash of the image, is done before the rest of the code is loaded."""
    signer.known_answer_test()
    node = signer.NodeKey(settings.node_key)
    node.prepare()
    return Prepared(node, hash_image())


def hash_image() -> bytes:
    from edge import image

    try:
        return image.own_hash()
    finally:
        forget("image")
        forget("firmware", "shared")


def read_settings(path: str) -> object:
    from edge import config

    try:
        return config.read_config(path)
    finally:
        forget("config")


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3) or arguments[2:] not in ([], ["drain"]):
        print("usage: edge.main CONFIG.json [drain]", file=sys.stderr)
        return 2
    try:
        collect_often()
        settings = read_settings(arguments[1])
        prepared = prepare(settings)
        from edge import device

        asyncio.run(device.run(settings, prepared, drain=len(arguments) == 3))
    except MeterproofError as error:
        print(f"meterproof-edge: {error}", file=sys.stderr)
        return 2 if error.code in (109, 123, 160, 170, 195, 421, 430) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
