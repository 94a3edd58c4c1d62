"""evidence.json: the file that proves one reading (SPEC.md section 12).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256

from tests.independent import device, faults, text
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.proof import NODE_VKEY, World, policy
from tests.independent.values import Named, Plain, fill

MALFORMED = 140


def changed(**attributes: object) -> World:
    """A world in which some things are otherwise, and all fits together still."""
    world = World()
    for name, value in attributes.items():
        setattr(world, name, value)
    return world


def enrolled(**changes: object) -> Named:
    return World().enrolled.with_(**changes)


def record_of(world: World) -> Named:
    fields = world.fields()
    state = [Named("StateProof", siblings=fields[key][-1][0], terminal=fields[key][-1][1]) for key in (5, 6)]
    return Named(
        "EvidenceFile",
        leaf=fields[1],
        place=fields[2][0],
        path=fields[2][1],
        statement=fields[3],
        log_index=fields[4][0],
        log_path=fields[4][1],
        origin=fields[5][0],
        batch_number=fields[5][1],
        batch_value=fields[5][2],
        batch_proof=state[0],
        device_value=fields[6][0],
        device_proof=state[1],
        channel_table=fields[7],
        block_leaf=fields[8][0],
        block_path=fields[8][1],
        params=fields[9],
        checkpoint=fields[10].encode(),
    )


def proven(world: World, trusted: bool) -> Plain:
    """What a report must say."""
    reading = world.readings[world.place]
    signers = [text.vkey(name, key.raw) for name, key in world.signers] if trusted else []
    return Plain(trusted=trusted, reading=reading, kid=world.key.kid, point=s.POINT, serial=world.table.serial, signers=signers)


def evidence_book() -> Book:
    book = Book("evidence", "12. Evidence file")
    for desc, world in (("a reading proven", World()), ("a device that was never enrolled", changed(known_device=False))):
        book.good("evidence.file", desc, world.file(), record_of(world))
    book.all_bad("evidence.file", "", bad_files())
    for desc, world in good_worlds():
        book.good("evidence.verify", desc, {"file": world.file(), "policy": policy()}, proven(world, True))
    book.good("evidence.verify", "signed by two nodes", {"file": two_signers().file(), "policy": TWO_NODES}, proven(two_signers(), True))
    for desc, data, given, error in bad_proofs():
        book.bad("evidence.verify", desc, {"file": data, "policy": given}, error)
    book.good(
        "evidence.verify", "without a policy: consistent, not trusted", {"file": World().file(), "policy": None}, proven(World(), False)
    )
    return book


def two_signers() -> World:
    return changed(signers=[(s.LEDGER_ORIGIN, s.NODE_KEY), ("witness.example", s.OTHER_KEY)])


TWO_NODES = policy(vkeys=(NODE_VKEY, text.vkey("witness.example", s.OTHER_KEY.raw)), need=2)


def good_worlds() -> Iterator[tuple[str, World]]:
    yield "a reading in the middle of its bundle", World()
    yield "the first reading", changed(place=0)
    yield "the last reading", changed(place=4)
    yield "no data is a reading too", changed(place=2)
    yield "a log of one entry", changed(log_index=0, sizes=(0, 1))
    yield "revoked after the batch", changed(enrolled=enrolled(status=3, live=[[5, 8]], to_height=8))


def bad_files() -> Iterator[tuple[str, bytes, int]]:
    fields = World().fields()
    yield from faults.of_bytes(cbor(fields))
    some = [("is null", None), ("is empty", b""), ("is text", "x"), ("is true", True)]
    formats = [*faults.text(), ("is of version 2", "meterproof/evidence/2"), ("is empty", "")]
    listed = faults.listed()
    kinds = {0: formats, 1: some, 2: listed, 3: some, 4: listed, 5: listed, 6: listed, 7: some, 8: listed, 9: some, 10: faults.text()[:-1]}
    yield from faults.of_map(fields, kinds, MALFORMED)
    steps = [("are null", None), ("are a map", {}), ("are a byte string", bytes(32)), ("hold 31 bytes", [bytes(31)]), ("hold null", [None])]
    steps += [("hold text", ["x" * 32]), ("are 65", [bytes([1] * 32)] * 65)]
    parts = {2: ["place", faults.uint(0, 1023)], 4: ["log index", faults.UINT], 8: ["block leaf", some]}
    for key, (name, found) in parts.items():
        for what, value in found:
            yield f"field {key}: {name} {what}", cbor({**fields, key: [value, fields[key][1]]}), MALFORMED
        for what, value in steps:
            yield f"field {key}: steps {what}", cbor({**fields, key: [fields[key][0], value]}), MALFORMED
        yield f"field {key}: an item too many", cbor({**fields, key: [*fields[key], 0]}), MALFORMED
        yield f"field {key}: an item too few", cbor({**fields, key: fields[key][:1]}), MALFORMED
    batch = [faults.text(), faults.UINT, some, listed]
    for place, found in enumerate(batch):
        for what, value in found:
            name = ("origin", "batch number", "batch value", "state proof")[place]
            yield f"field 5: {name} {what}", cbor({**fields, 5: [*fields[5][:place], value, *fields[5][place + 1 :]]}), MALFORMED
    for what, value in some[1:]:
        yield f"field 6: device value {what}", cbor({**fields, 6: [value, fields[6][1]]}), MALFORMED
    proofs = {
        "without terminal": [[]],
        "with a false terminal": [[], False],
        "with a sibling of 31 bytes": [[bytes(31)], True],
        "with a sibling of zeros": [[bytes(32)], True],
    }
    for what, value in proofs.items():
        yield f"field 6: state proof {what}", cbor({**fields, 6: [fields[6][0], value]}), MALFORMED
    yield "longer than 64 KiB", bytes(65537), faults.TOO_LONG


def bad_proofs() -> Iterator[tuple[str, bytes, str | None, int]]:
    for desc, world, error in bad_worlds():
        yield desc, world.file(), policy(), error
    good = World().file()
    other_node = text.vkey(s.LEDGER_ORIGIN, s.OTHER_KEY.raw)
    policies = {
        "policy: another node": (policy(vkeys=(other_node,)), 240),
        "policy: two of two nodes needed, one signed": (policy(vkeys=(NODE_VKEY, other_node), need=2), 240),
        "policy: the node's key under another name": (policy(vkeys=(text.vkey("other.example", s.NODE_KEY.raw),)), 240),
        "policy: another chain": (policy(chain_id="another-chain"), 240),
        "policy: another genesis": (policy(genesis=fill("another genesis", 32)), 242),
    }
    for desc, (given, error) in policies.items():
        yield desc, good, given, error
    fields = two_signers().fields()
    body, lines = fields[10].split("\n\n")
    fields[10] = body + "\n\n" + "".join(reversed(lines.splitlines(keepends=True)))
    yield "signed by two nodes, their lines exchanged", cbor(fields), TWO_NODES, 130
    for desc, change, error in bad_fields():
        fields = World().fields()
        change(fields)
        yield desc, cbor(fields), policy(), error


def bad_worlds() -> Iterator[tuple[str, World, int]]:
    """Each fits together in itself; one thing in it is not as it must be."""
    keys = sorted((s.VALIDATOR_KEY.kid, s.OTHER_KEY.kid, s.NODE_KEY.kid))
    three = [[kid, 1] for kid in keys]
    yield "never enrolled", changed(known_device=False), 320
    yield "enrolled with another key", changed(enrolled=enrolled(key=s.OTHER_KEY)), 320
    yield "enrolled after the batch", changed(enrolled=enrolled(from_height=8, live=[[8, None]])), 321
    yield "revoked before the batch", changed(enrolled=enrolled(status=3, live=[[5, 6]])), 321
    yield "revoked in the block of the batch", changed(enrolled=enrolled(status=3, live=[[5, 7]])), 321
    yield "suspended at the batch, resumed later", changed(enrolled=enrolled(live=[[5, 6], [8, None]])), 321
    yield "key replaced before the batch", changed(enrolled=enrolled(to_height=7)), 321
    yield "enrolled for another log", changed(enrolled=enrolled(origin="example.org/another")), 324
    yield "no vote", changed(votes=[]), 243
    yield "two votes of three", changed(snapshot=three, votes=[[kid, 8, []] for kid in keys[:2]]), 243
    yield "objected by the only validator", changed(votes=[[s.VALIDATOR_KEY.kid, 8, [3]]]), 244
    yield "objected by one of three", changed(snapshot=three, votes=[[keys[0], 8, [3]], [keys[1], 8, []], [keys[2], 8, []]]), 244
    yield "channel assigned to nothing", changed(assigned=[]), 325
    yield "channel assigned after the reading", changed(assigned=[[0, s.POINT, "0004711", s.TABLE_HASH, s.START_S + 61, None]]), 325
    yield "assignment ended at the reading", changed(assigned=[[0, s.POINT, "0004711", s.TABLE_HASH, 0, s.START_S + 60]]), 325
    yield "another channel assigned", changed(assigned=[[1, s.POINT, "0004711", s.TABLE_HASH, 0, None]]), 325
    yield "clock unsynced", changed(clock=0), 325
    yield "meter of another serial assigned", changed(assigned=[[0, s.POINT, "0004712", s.TABLE_HASH, 0, None]]), 247
    yield "meter with another table assigned", changed(assigned=[[0, s.POINT, "0004711", fill("table", 32), 0, None]]), 247
    yield "signed by nobody", changed(signers=[(s.LEDGER_ORIGIN, s.OTHER_KEY)]), 240
    yield (
        "a signature that the policy does not count",
        two_signers(),
        240,
    )
    yield (
        "a whole forgery with keys of its own",
        changed(signers=[(s.LEDGER_ORIGIN, s.OTHER_KEY)], key=s.OTHER_KEY, enrolled=enrolled(key=s.OTHER_KEY)),
        240,
    )
    yield "checkpoint of another ledger", changed(origin="meterproof.ledger/another"), 240
    yield "block of another chain under this ledger's checkpoint", changed(chain_id="another-chain"), 241
    yield "another genesis", changed(genesis=fill("another genesis", 32)), 242
    longer = s.TABLE.with_(registers=s.TABLE.registers[:2])
    table_hash = sha256(device.channel_table(longer)).digest()
    yield "table of fewer registers", changed(table=longer, assigned=[[0, s.POINT, "0004711", table_hash, 0, None]]), 247


def bad_fields() -> Iterator[tuple[str, Callable[[dict[int, object]], None], int]]:
    """One field of a good file exchanged."""
    good, other = World().fields(), changed(place=0).fields()

    def put(key: int, value: object) -> Callable[[dict[int, object]], None]:
        return lambda fields: fields.update({key: value})

    def flipped(key: int, at: int) -> Callable[[dict[int, object]], None]:
        return put(key, faults.bit_flipped(good[key], at))

    yield "leaf of another reading", put(1, other[1]), 210
    yield "a bit of the leaf's salt", flipped(1, 5), 210
    yield "path of another reading", put(2, other[2]), 210
    yield "place is the count", put(2, [5, good[2][1]]), 210
    yield "no path in the bundle", put(2, [1, []]), 210
    yield "another statement at the place", put(3, changed(clock=3).statement()), 210
    yield "a bit of the statement's signature", flipped(3, -1), 210
    yield "index in the log one less", put(4, [2, good[4][1]]), 210
    yield "index in the log before the batch", put(4, [1, good[4][1]]), 245
    yield "index in the log is the new size", put(4, [5, good[4][1]]), 245
    yield "no path in the log", put(4, [3, []]), 210
    yield "batch of another number", put(5, [good[5][0], 2, *good[5][2:]]), 220
    yield "batch of another origin", put(5, ["example.org/another", *good[5][1:]]), 220
    yield "another batch value", put(5, [*good[5][:2], changed(batch_height=6).batch_value(), good[5][3]]), 220
    yield "batch with one more vote than in the state", put(5, [*good[5][:2], changed(votes=[]).batch_value(), good[5][3]]), 220
    yield "another device value", put(6, [changed(assigned=[]).device_value(), good[6][1]]), 220
    yield "device value hidden, proof kept", put(6, [None, good[6][1]]), 220
    yield "device shown as absent by the proof of another world", put(6, changed(known_device=False).fields()[6]), 220
    yield "a table that is not signed", put(7, device.channel_table(s.TABLE.with_(model="EM-4"))), 247
    yield "a bit of the block's state root", put(8, [faults.bit_flipped(good[8][0], -40), good[8][1]]), 210
    yield "a step of the block's path missing", put(8, [good[8][0], good[8][1][:-1]]), 210
    yield "a bit of the params", put(9, faults.bit_flipped(good[9], 6)), 242
    yield "checkpoint one entry longer", put(10, good[10].replace("\n7\n", "\n8\n")), 201
    yield "a second signature of the same key", put(10, good[10] + good[10].split("\n\n")[1]), 130
    yield "checkpoint without signatures", put(10, good[10].split("\n\n")[0] + "\n"), 130


def books() -> list[Book]:
    return [evidence_book()]
