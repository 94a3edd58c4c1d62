"""Every decoder under nearly right input: only DecodeError and VerifyError escape, and what is accepted encodes to the same bytes.

In: the targets, and the inputs that once broke one (corpus/<decoder>/). Out: passes or failures. `make fuzz` does the same a million times.
"""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import cbor
from shared.errors import DecodeError, RuleError
from tests.fuzz.cost import check_cost
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target, check_input
from tests.fuzz.targets import TARGETS
from tests.fuzz.vectors import cases
from tests.micropython import checks_golden
from tests.shared.strategies import mutations

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(CORPUS.glob("*/*"))
MUTATORS = {target.name: Mutator(target.seeds, target.tree, target.finish) for target in TARGETS.values()}
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
LONG = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def inputs(draw: st.DrawFn, target: Target) -> bytes:
    """Mostly by structure; some as bytes only, which shrink well."""
    if draw(st.booleans()):
        return draw(st.one_of(mutations(st.sampled_from(target.seeds)), st.binary(max_size=200)))
    chance = random.Random(draw(st.integers(0, 2**32 - 1)))
    return MUTATORS[target.name].change(draw(st.sampled_from(target.seeds)), chance)


@pytest.mark.parametrize("name", TARGETS)
def test_good_inputs_are_accepted(name: str) -> None:
    assert TARGETS[name].seeds
    for seed in TARGETS[name].seeds:
        assert check_input(TARGETS[name], seed) == 0


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(data=st.data())
def test_nearly_right(name: str, data: st.DataObject) -> None:
    assert check_input(TARGETS[name], data.draw(inputs(TARGETS[name]))) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@LONG
@given(data=st.data())
def test_nearly_right_at_length(name: str, data: st.DataObject) -> None:
    assert check_input(TARGETS[name], data.draw(inputs(TARGETS[name]))) < 1000


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_decoder(path: Path) -> None:
    target = TARGETS[path.parent.name]
    check_input(target, path.read_bytes())
    assert check_cost(target, path.read_bytes()).steps > 0


def test_the_corpus_is_there() -> None:
    assert len(CASES) >= 5


def test_every_decoder_of_the_golden_files_is_a_target() -> None:
    for do, given_inputs in cases().items():
        decode, encode = checks_golden.OPERATIONS[do]
        if encode is not None and isinstance(given_inputs[0], (bytes, str)):
            assert do in TARGETS, do
    assert {"statement", "note", "rows", "sign1", "smt.proof", "tile.entries", "id"} < set(TARGETS)


# --- the check itself


def planted(decode: object, **more: object) -> Target:
    return Target("planted", decode, 64, [b"\x01"], **more)


def test_an_error_of_another_kind_is_found() -> None:
    def endless(data: bytes) -> None:
        endless(data)

    for decode in (lambda data: data[99], lambda data: int(data), endless):
        with pytest.raises(AssertionError, match="escapes"):
            check_input(planted(decode), b"\x02")


def test_another_family_is_found_unless_it_is_allowed() -> None:
    def refuse(data: bytes) -> None:
        raise RuleError(350, "no")

    with pytest.raises(AssertionError, match="escapes"):
        check_input(planted(refuse), b"")
    assert check_input(planted(refuse, also=(RuleError,)), b"") == 350


def test_a_second_encoding_is_found() -> None:
    def lax(data: bytes) -> object:
        return data[-1] if data[:1] == b"\x18" else cbor.decode(data)

    assert check_input(planted(lax, again=cbor.encode), b"\x18\x18") == 0
    with pytest.raises(AssertionError, match="second encoding"):
        check_input(planted(lax, again=cbor.encode), b"\x18\x05")


def test_too_long_an_input_that_is_accepted_is_found() -> None:
    assert check_input(planted(len), bytes(64)) == 0
    with pytest.raises(AssertionError, match="accepts 65 bytes"):
        check_input(planted(len), bytes(65))


def test_a_refusal_gives_its_code() -> None:
    def refuse(data: bytes) -> None:
        raise DecodeError(123, "no")

    assert check_input(planted(refuse), b"") == 123
