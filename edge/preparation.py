"""What is done once before the device is put together: known answers, comb tables, the hash of the image. Forgotten afterwards.

In: settings. Out: the node's key, ready to verify, and the firmware hash. Raises Unavailable 430, VerifyError 201.
"""

from collections import namedtuple

from edge import image, signer

Prepared = namedtuple("Prepared", ("node", "firmware"))
"""The node's key, the firmware hash."""


def prepare(settings: object) -> Prepared:
    """What takes room in one piece for a while comes first."""
    signer.known_answer_test()
    return Prepared(signer.open_node(settings.node_key), image.own_hash())
