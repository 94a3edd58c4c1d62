"""ICS-23 proofs of a sparse Merkle tree against shared/smt.py, under CPython and MicroPython.

In: the decoded JSON of ics23_smt.json, whose proofs are protobuf in hexadecimal. Out: how many cases were checked.
Reads only what ICS-23's SMT uses of the protobuf, and checks that it is what SPEC section 10 says.
"""

from binascii import unhexlify
from hashlib import sha256

from shared import smt
from shared.errors import VerifyError

SHA256_OP = 1  # ics23.HashOp


def fields(data):
    """The (field number, value) pairs of a protobuf message: integers and byte strings."""
    found, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at)
        if tag & 7 == 2:
            value, at = data[at : at + value], at + value
        else:
            assert tag & 7 == 0, "wire type"
        found.append((tag >> 3, value))
    return found


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def existence(data):
    """(key, value, siblings from the leaf upwards) of an ExistenceProof, whose operations must be those of our tree."""
    key = value = None
    siblings, on_right = [], []
    for number, part in fields(data):
        if number == 1:
            key = part
        elif number == 2:
            value = part
        elif number == 3:
            leaf = dict(fields(part))
            assert (leaf[1], leaf[2], leaf[3], leaf[5]) == (SHA256_OP, SHA256_OP, SHA256_OP, b"\x00"), "leaf operation"
        elif number == 4:
            step = dict(fields(part))
            prefix, suffix = step[2], step.get(3, b"")
            assert step[1] == SHA256_OP and prefix[:1] == b"\x01" and len(prefix) + len(suffix) == 33, "inner operation"
            siblings.append(suffix or prefix[1:])
            on_right.append(0 if suffix else 1)
    path = smt.path_of(key)
    depth = len(siblings)
    assert [smt.bit(path, depth - 1 - i) for i in range(depth)] == on_right, "the key's path"
    return key, value, [b"" if sibling == smt.EMPTY else sibling for sibling in siblings]


def refused(function, *arguments) -> bool:
    try:
        function(*arguments)
    except VerifyError as error:
        return error.code == 220
    return False


def check_ics23(data) -> int:
    for name, case in data["cases"].items():
        number, proof = fields(unhexlify(case["proof"]))[0]
        root, key = unhexlify(case["root"]), unhexlify(case["key"])
        if number == 1:
            assert name.startswith("exist"), name
            check_member(root, key, unhexlify(case["value"]), proof)
        else:
            assert number == 2 and name.startswith("nonexist"), name
            check_absent(root, key, proof)
    return len(data["cases"])


def check_member(root, key, value, data) -> None:
    own_key, own_value, siblings = existence(data)
    assert (own_key, own_value) == (key, value)
    proof = smt.StateProof(siblings, True)
    smt.verify_member(root, key, value, proof)
    assert refused(smt.verify_member, root, key, value + b"x", proof)
    assert refused(smt.verify_member, root, key + b"x", value, proof)
    assert refused(smt.verify_member, root, key, value, smt.StateProof(siblings[1:], True))
    assert refused(smt.verify_absent, root, key, proof)


def check_absent(root, key, data) -> None:
    """ICS-23 proves absence by the two neighbours; ours needs the nearer one only, and is built from it here."""
    parts = dict(fields(data))
    path = smt.path_of(key)
    assert parts[1] == path  # here ICS-23 gives the path, not the key
    neighbours = [existence(parts[number]) for number in (2, 3) if number in parts]
    for neighbour in neighbours:
        smt.verify_member(root, neighbour[0], neighbour[1], smt.StateProof(neighbour[2], True))
        assert refused(smt.verify_member, root, key, neighbour[1], smt.StateProof(neighbour[2], True))
    other, value, siblings = max(neighbours, key=lambda neighbour: common(path, smt.path_of(neighbour[0])))
    proof = absence(path, smt.path_of(other), sha256(value).digest(), siblings)
    smt.verify_absent(root, key, proof)
    assert refused(smt.verify_absent, root, other, proof)
    assert refused(smt.verify_absent, smt.EMPTY, key, proof)


def common(path, other) -> int:
    """How many leading bits two paths share."""
    depth = 0
    while depth < 256 and smt.bit(path, depth) == smt.bit(other, depth):
        depth += 1
    return depth


def absence(path, other, value_hash, siblings):
    """Our proof that nothing stands at `path`: the other leaf stands there instead, or the place beside its branch is empty."""
    depth, shared_bits = len(siblings), common(path, other)
    if shared_bits >= depth:
        return smt.StateProof(siblings, (other, value_hash))
    below = depth - 1 - shared_bits  # siblings under the place where the paths part
    assert siblings[below] == b"", "beside the nearest neighbour the place is empty"
    node = smt.leaf_hash(other, value_hash)
    for i in range(below):
        sibling = siblings[i] or smt.EMPTY
        node = smt.node_hash(sibling, node) if smt.bit(other, depth - 1 - i) else smt.node_hash(node, sibling)
    return smt.StateProof([node] + siblings[below + 1 :], None)
