"""What is signed, hashed or proven, under nearly right input: nothing that was changed is accepted. Each decoder by itself: tests/fuzz.

In: the golden files' inputs, mutated as bytes and as values. Out: nothing. Never asks whether a mutation is refused: the golden files do.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import cbor, note, smt
from shared.errors import DecodeError, RuleError, VerifyError
from shared.verify import verifier
from tests.independent import samples
from tests.independent.cbor_out import cbor as independent
from tests.independent.make_vectors import VECTORS
from tests.independent.proof import World, policy
from tests.micropython import checks_golden
from tests.shared import server_formats
from tests.shared.strategies import SCALARS, mutations, values

server_formats.install()
pytestmark = pytest.mark.slow
FUZZ = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
BYTES = [
    "cbor",
    "key",
    "channel",
    "statement",
    "reading",
    "envelope",
    "ack",
    "refusal",
    "challenge",
    "hello",
    "evidence",
    "evidence.open",
    "note",
]
BYTES += ["params", "device.value", "batch.value", "receipt", "block.leaf", "evidence.file", "policy", "tx", "genesis", "block"]
TEXT = ["topic", "vkey", "checkpoint", "access"]


def inputs() -> dict[str, list[object]]:
    """Good inputs of each operation."""
    found: dict[str, list[object]] = {}
    for path in VECTORS.glob("*.json"):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            if "want" in case:
                found.setdefault(case["do"], []).append(checks_golden.unwrap(case["input"]))
    return found


GOOD = inputs()


def survives(decode, given_input: object, *also: type) -> bool:
    """Runs a decoder; whether it accepted."""
    try:
        decode(given_input)
    except (DecodeError, VerifyError, *also):
        return False
    return True


def test_every_operation_on_bytes_or_text_is_tried_by_both_interpreters() -> None:
    for do, given_inputs in GOOD.items():
        if isinstance(given_inputs[0], (bytes, str)) and checks_golden.OPERATIONS[do][1] is not None:
            assert do in BYTES + TEXT or do.startswith("value."), do


# --- well-formed CBOR of a wrong shape


def nodes(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(nodes, inner))


def replaced(value: object, at: int, new: object) -> object:
    """The value with its node number `at` (depth first) exchanged."""
    if at == 0:
        return new
    at -= 1
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for key, inner in pairs:
        count = nodes(inner)
        if at < count:
            pairs[[k for k, _ in pairs].index(key)] = (key, replaced(inner, at, new))
            break
        at -= count
    return dict(pairs) if isinstance(value, dict) else [inner for _, inner in pairs]


@st.composite
def reshaped(draw, good: st.SearchStrategy) -> object:
    """A good value in which one to three nodes are something else."""
    value = draw(good)
    for _ in range(draw(st.integers(1, 3))):
        value = replaced(value, draw(st.integers(0, nodes(value) - 1)), draw(st.one_of(SCALARS, values(leaves=5))))
    return value


def decoded(do: str) -> list[object]:
    return [value for value in map(cbor.decode, GOOD[do]) if not isinstance(value, cbor.Tagged)]


SHAPES = [do for do in BYTES if do not in ("statement", "evidence.open", "note", "policy", "tx", "cbor")]


@FUZZ
@given(value=reshaped(st.sampled_from([given_input["rows"] for given_input in GOOD["rows"] if given_input["rows"]])), data=st.data())
def test_rows(value: object, data: st.DataObject) -> None:
    """Whatever is accepted rebuilds the root: then it is one of the good ones."""
    given_input = data.draw(st.sampled_from(GOOD["rows"]))
    accepted = survives(checks_golden.OPERATIONS["rows"][0], {**given_input, "rows": value})
    assert not accepted or value == given_input["rows"]


@FUZZ
@given(value=reshaped(st.sampled_from(GOOD["smt.proof"])))
def test_state_proofs(value: object) -> None:
    """A proof of another key is accepted for none."""
    try:
        proof = smt.decode_proof(value)
    except DecodeError:
        return
    assert not survives(lambda p: smt.verify_member(bytes(32), b"key", b"value", p), proof)
    survives(lambda p: smt.verify_absent(bytes(32), b"key", p), proof)


@FUZZ
@given(data=mutations(st.sampled_from(GOOD["note"])))
def test_notes_and_checkpoints(data: bytes) -> None:
    vkeys = [note.decode_vkey(text) for text in GOOD["vkey"]]
    accepted = survives(lambda raw: note.open_checkpoint(raw, vkeys), data)
    assert not accepted or note.open_checkpoint(data, vkeys)[0].origin == samples.ORIGIN


# --- evidence files: no changed file is proven

WORLD = World().fields()
POLICY = server_formats.policy.decode_policy(policy().encode())


@FUZZ
@given(data=mutations(st.just(World().file())))
def test_no_changed_evidence_file_is_proven(data: bytes) -> None:
    accepted = survives(lambda raw: verifier.verify_evidence(raw, POLICY), data, RuleError)
    assert not accepted or data == World().file()


@FUZZ
@given(value=reshaped(st.just(WORLD)))
def test_no_reshaped_evidence_file_is_proven(value: object) -> None:
    accepted = survives(lambda raw: verifier.verify_evidence(raw, POLICY), independent(value), RuleError)
    assert not accepted or value == WORLD
