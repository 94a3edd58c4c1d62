"""shared/note: notes and checkpoints, C2SP's own example, and every limit at both sides. The golden files hold more malformed texts."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import note
from shared.errors import MeterproofError
from shared.note import Checkpoint
from tests.independent.signing import EdKey
from tests.shared.makers import ORIGIN, code_of
from tests.shared.strategies import mutations

NODE = EdKey("a node of test_note")
WITNESS = EdKey("a witness of test_note")
TEXT = note.encode_checkpoint(Checkpoint(ORIGIN, 1042, bytes(range(32))))
VKEY = note.decode_vkey(note.encode_vkey(ORIGIN, NODE.raw))
WITNESS_VKEY = note.decode_vkey(note.encode_vkey("witness.example", WITNESS.raw))
NOTE = note.sign_note(TEXT, ORIGIN, NODE.raw, NODE.sign)


def line(name: str, key: EdKey, text: str = TEXT) -> bytes:
    return f"\u2014 {name} {note.encode_base64(note.key_id_of(name, key.raw) + key.sign(text.encode()))}\n".encode()


BOTH = NOTE + line("witness.example", WITNESS)


PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_example_of_go_sumdb_note() -> None:
    """A key and a note from outside: golang.org/x/mod, sumdb/note (BSD-3)."""
    vkey = note.decode_vkey(PETER)
    assert note.encode_vkey(vkey.name, vkey.raw) == PETER
    assert note.verify_note(note.decode_note(PETERS_NOTE.encode()), [vkey]) == [vkey]
    assert code_of(note.verify_note, note.decode_note(PETERS_NOTE.replace("answer", "Answer").encode()), [vkey]) == 201


def test_checkpoint() -> None:
    checkpoint, signers = note.open_checkpoint(NOTE, [VKEY])
    assert checkpoint == Checkpoint(ORIGIN, 1042, bytes(range(32))) and signers == [VKEY]
    assert f"{ORIGIN}\n1042\n{b64encode(bytes(range(32))).decode()}\n" == TEXT
    assert code_of(note.open_checkpoint, NOTE, []) == 240
    assert code_of(note.open_checkpoint, NOTE, [WITNESS_VKEY]) == 240
    assert note.open_checkpoint(BOTH, [WITNESS_VKEY, VKEY])[1] == [WITNESS_VKEY, VKEY]


def test_the_own_name_comes_first() -> None:
    early = line("a.example", WITNESS)
    assert len(note.decode_note(NOTE + early).signatures) == 2
    body, own = NOTE.split(b"\n\n")
    assert code_of(note.decode_note, body + b"\n\n" + early + own) == 130


def test_a_key_counts_once() -> None:
    assert note.verify_note(note.decode_note(NOTE), [VKEY, VKEY]) == [VKEY]
    assert code_of(note.decode_note, NOTE + line(ORIGIN, NODE)) == 130


def test_a_known_key_that_fails_spoils_the_note() -> None:
    forged = NOTE + line("witness.example", WITNESS, TEXT + "x")
    assert code_of(note.open_checkpoint, forged, [VKEY, WITNESS_VKEY]) == 201
    assert note.open_checkpoint(forged, [VKEY])[1] == [VKEY]
    short = NOTE + f"\u2014 witness.example {note.encode_base64(WITNESS_VKEY.key_id + bytes(63))}\n".encode()
    assert code_of(note.open_checkpoint, short, [VKEY, WITNESS_VKEY]) == 201


def test_a_key_of_the_same_id_and_another_name_is_unknown() -> None:
    other = VKEY._replace(name="another.example")
    assert code_of(note.open_checkpoint, NOTE, [other]) == 240


@given(
    st.lists(
        st.tuples(st.sampled_from([ORIGIN, "a", "aa", "w", "é", "\U0001f600", "\uffee"]), st.integers(0, 3)),
        min_size=1,
        max_size=16,
        unique=True,
    )
)
def test_signature_lines_have_one_order(signers: list[tuple[str, int]]) -> None:
    """Every other order of the same lines is refused, whoever signed; so the bytes of a note say no more than who did."""
    signed = [(name, bytes([i] * 4), bytes([i] * 64)) for name, i in signers]
    data = note.encode_note(note.Note(TEXT, signed))
    found = note.decode_note(data)
    assert sorted(found.signatures) == sorted(signed)
    assert note.encode_note(note.Note(TEXT, signed[::-1])) == data == note.encode_note(found)
    body, lines = data.split(b"\n\n")
    each = lines.splitlines(keepends=True)
    for at in range(len(each) - 1):
        exchanged = [*each[:at], each[at + 1], each[at], *each[at + 2 :]]
        assert code_of(note.decode_note, body + b"\n\n" + b"".join(exchanged)) == 130


@pytest.mark.parametrize("size", [0, 1, 10, 2**63 - 1])
def test_size_allowed(size: int) -> None:
    checkpoint = Checkpoint(ORIGIN, size, bytes(32))
    assert note.decode_checkpoint(note.encode_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize("size", [-1, 2**63, True, None, "1"])
def test_size_refused(size: object) -> None:
    assert code_of(note.encode_checkpoint, Checkpoint(ORIGIN, size, bytes(32))) == 131


ROOT = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n1\n{ROOT}",
        f"{ORIGIN}\n1\n{ROOT}\n\n",
        f"{ORIGIN}\n1\n{ROOT}\nextension\n",
        f"\n1\n{ROOT}\n",
        f"two words\n1\n{ROOT}\n",
        f"{'x' * 129}\n1\n{ROOT}\n",
        f"{ORIGIN}\n01\n{ROOT}\n",
        f"{ORIGIN}\n\n{ROOT}\n",
        f"{ORIGIN}\n+1\n{ROOT}\n",
        f"{ORIGIN}\n-1\n{ROOT}\n",
        f"{ORIGIN}\n 1\n{ROOT}\n",
        f"{ORIGIN}\n1_0\n{ROOT}\n",
        f"{ORIGIN}\n٣\n{ROOT}\n",
        f"{ORIGIN}\n{2**63}\n{ROOT}\n",
        f"{ORIGIN}\n{10**19}\n{ROOT}\n",
        f"{ORIGIN}\n1\n{ROOT[:-1]}\n",
        f"{ORIGIN}\n1\n{ROOT} \n",
        f"{ORIGIN}\n1\n{ROOT[:-2]}B=\n",
        f"{ORIGIN}\n1\n{b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n1\n{b64encode(bytes(33)).decode()}\n",
        f"{ORIGIN}\r\n1\r\n{ROOT}\r\n",
    ],
)
def test_checkpoint_text_refused(text: str) -> None:
    assert code_of(note.decode_checkpoint, text) == 131


def test_note_bytes_at_both_sides() -> None:
    spare = 4096 - len(NOTE)
    longest = note.sign_note(TEXT + "x" * (spare - 1) + "\n", ORIGIN, NODE.raw, NODE.sign)
    assert len(longest) == 4096
    assert note.verify_note(note.decode_note(longest), [VKEY]) == [VKEY]
    assert code_of(note.sign_note, TEXT + "x" * spare + "\n", ORIGIN, NODE.raw, NODE.sign) == 130
    assert code_of(note.decode_note, longest[:-1] + b"\n\n") == 130


def test_signature_lines_at_both_sides() -> None:
    data = NOTE + b"".join(line(f"w{i:02}", WITNESS) for i in range(15))
    assert len(note.decode_note(data).signatures) == 16
    assert code_of(note.decode_note, data + line("w15", WITNESS)) == 130


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        TEXT.encode(),
        TEXT.encode() + b"\n",
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"x\n",
        NOTE.replace("\u2014".encode(), b"-"),
        NOTE.replace(b"\n1042", b"\n10\x0742"),
        NOTE.replace(b"\n1042", b"\r\n1042"),
        NOTE.replace(f"\u2014 {ORIGIN} ".encode(), f"\u2014  {ORIGIN} ".encode()),
        NOTE.replace(f"\u2014 {ORIGIN} ".encode(), f"\u2014 {ORIGIN}+ ".encode()),
        NOTE.replace(f"\u2014 {ORIGIN} ".encode(), "\u2014  ".encode()),
        TEXT.encode() + f"\n\u2014 {ORIGIN} AAAA\n".encode(),
        TEXT.encode() + f"\n\u2014 {ORIGIN} AAAAAA==\n".encode(),  # a key id and nothing
        TEXT.encode() + f"\n\u2014 {ORIGIN} AAAAAAB=\n".encode(),  # padding bits
        b"\n\n" + NOTE.split(b"\n\n")[1],
    ],
)
def test_note_refused(data: bytes) -> None:
    assert code_of(note.decode_note, data) == 130


def test_text_that_is_not_utf8() -> None:
    assert code_of(note.decode_note, NOTE.replace(b"1042", b"\xff")) == 107


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+c74f20a3",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+BRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\ud800+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+\ud800",
    ],
)
def test_vkey_refused(text: str) -> None:
    assert code_of(note.decode_vkey, text) == 130


def test_names_at_both_sides() -> None:
    assert note.decode_vkey(note.encode_vkey("x" * 128, NODE.raw)).name == "x" * 128
    for name in ("x" * 129, "", "a b", "a+b"):
        assert code_of(note.encode_vkey, name, NODE.raw) == 130
        assert code_of(note.sign_note, TEXT, name, NODE.raw, NODE.sign) == 130
    assert code_of(note.encode_vkey, "x", NODE.raw[:31]) == 130


@given(st.binary(max_size=100) | mutations(st.just(BOTH)))
def test_any_bytes(data: bytes) -> None:
    try:
        found = note.decode_note(data)
        note.open_checkpoint(data, [VKEY, WITNESS_VKEY])
    except MeterproofError as error:
        assert error.hundred in (1, 2)
        return
    lines = [f"\u2014 {name} {note.encode_base64(key_id + signature)}\n" for name, key_id, signature in found.signatures]
    assert (found.text + "\n" + "".join(lines)).encode() == data


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    for decode in (note.decode_checkpoint, note.decode_vkey, note.decode_base64):
        try:
            decode(text)
        except MeterproofError as error:
            assert error.hundred == 1
