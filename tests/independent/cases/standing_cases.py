"""Part of state.json: the key live at a height, the assignment at a time, whether a statement counts (SPEC.md sections 9 and 10).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.state_samples import BATCH, DEVICE, REVOKED, SUSPENDED, VALIDATORS, batch_fields, device_fields, power, vote


def questions(book: Book) -> None:
    """Key live at a height, assignment at a time, whether a statement counts."""
    key = s.DEVICE_KEY.kid
    live = {
        ("live", 5): DEVICE,
        ("live", 2**40): DEVICE,
        ("suspended later", 89): SUSPENDED,
        ("live again", 100): SUSPENDED,
        ("revoked later", 119): REVOKED,
    }
    for (desc, height), value in live.items():
        given = {"device": cbor(device_fields(value)), "kid": key, "height": height}
        wanted = next(item for item in value.keys if item.kid == key)
        book.good("key.live", f"{desc}, height {height}", given, wanted)
    not_live = [
        (DEVICE, 4, "enrolled later"),
        (DEVICE, 1, "enrolled much later"),
        (SUSPENDED, 90, "just suspended"),
        (SUSPENDED, 99, "suspended"),
    ]
    not_live += [
        (SUSPENDED, 120, "suspended again"),
        (REVOKED, 120, "just revoked"),
        (REVOKED, 2**40, "revoked long ago"),
        (REVOKED, 49, "key added later"),
    ]
    not_live += [(SUSPENDED, 4, "suspended, enrolled later"), (REVOKED, 4, "revoked, enrolled later")]
    for value, height, desc in not_live:
        book.bad("key.live", f"{desc}, height {height}", {"device": cbor(device_fields(value)), "kid": key, "height": height}, 321)
    for height in (2, 3, 91, 92, 98):
        book.bad(
            "key.live",
            f"between its live ranges or before, height {height}",
            {"device": cbor(device_fields(SUSPENDED)), "kid": key, "height": height},
            321,
        )
    for height in (6, 48, 121):
        book.bad(
            "key.live",
            f"key of the device, not live itself, height {height}",
            {"device": cbor(device_fields(REVOKED)), "kid": key, "height": height},
            321,
        )
    book.bad("key.live", "key replaced before", {"device": cbor(device_fields(REVOKED)), "kid": s.OTHER_KEY.kid, "height": 50}, 321)
    for kid in (s.ELEMENT_KEY.kid, s.NODE_KEY.kid, s.ADMIN_KEY.kid):
        book.bad(
            "key.live", f"key {kid.hex()[:6]} of somebody else", {"device": cbor(device_fields(REVOKED)), "kid": kid, "height": 7}, 320
        )
    for height in (0, 7, 2**40):
        book.bad("key.live", f"no such device, height {height}", {"device": None, "kid": key, "height": height}, 320)
    device = cbor(device_fields(REVOKED))
    for channel, time_s, place in ((0, 10, 0), (0, 19, 0), (0, 20, 1), (0, 2**40, 1), (255, 0, 2)):
        book.good(
            "assignment",
            f"channel {channel} at {time_s}",
            {"device": device, "channel": channel, "time_s": time_s},
            REVOKED.assignments[place],
        )
    for channel, time_s in (
        (0, 9),
        (0, 0),
        (1, 10),
        (1, 20),
        (254, 100),
        (256, 100),
        (2, 2**40),
        *[(channel, 15) for channel in range(3, 21)],
    ):
        book.bad("assignment", f"channel {channel} at {time_s}", {"device": device, "channel": channel, "time_s": time_s}, 325)
    counting(book)


def counting(book: Book) -> None:
    """More than 2/3 of the power must have voted without objecting."""
    batch = cbor(batch_fields(BATCH))
    book.good("batch.counts", "three of four voted, none objected", {"batch": batch, "index": 1001}, None)
    book.bad("batch.counts", "three of four voted, one objected", {"batch": batch, "index": 1000}, 244)
    book.bad("batch.counts", "three of four voted, two objected", {"batch": batch, "index": 1041}, 244)
    for index in (999, 1042, 0, 2**32, -1):
        book.bad("batch.counts", f"index {index} is not in the batch", {"batch": batch, "index": index}, 245)
    shares = {
        "2 of 3, exactly two thirds": (3, 2),
        "no vote of 1": (1, 0),
        "1 of 2": (2, 1),
        "1 of 3": (3, 1),
        "2 of 4": (4, 2),
        "no vote of 4": (4, 0),
    }
    keys = VALIDATORS
    for desc, (members, voted) in shares.items():
        value = BATCH.with_(snapshot=[power(key, 1) for key in keys[:members]], votes=[vote(key, 8, []) for key in keys[:voted]])
        book.bad("batch.counts", desc, {"batch": cbor(batch_fields(value)), "index": 1001}, 243)
    weighed = BATCH.with_(
        snapshot=[power(key, amount) for key, amount in zip(keys, (7, 1, 1, 1), strict=True)], votes=[vote(keys[0], 8, [])]
    )
    book.good("batch.counts", "power counts, not heads: 7 of 10", {"batch": cbor(batch_fields(weighed)), "index": 1001}, None)
    light = weighed.with_(votes=[vote(key, 8, []) for key in keys[1:]])
    book.bad("batch.counts", "power counts, not heads: 3 of 10", {"batch": cbor(batch_fields(light)), "index": 1001}, 243)
