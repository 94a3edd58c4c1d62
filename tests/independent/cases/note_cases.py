"""Part of note.json: verification keys and signed notes (SPEC.md section 5).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator

from tests.independent import faults, text
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.signing import ED25519_ORDER
from tests.independent.values import Named, fill

NOTE, UTF8, SIGNATURE = 130, 107, 201
DASH = "\u2014"
# The example of the C2SP signed-note specification and of its text in the first line of Go's sumdb/note.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_TEXT = "This is an example message.\n"
C2SP_SIGNATURE = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def vkey_cases(book: Book) -> None:
    keys = {s.ORIGIN: s.NODE_KEY.raw, s.LEDGER_ORIGIN: s.NODE_KEY.raw, "x": s.OTHER_KEY.raw, "zähler.example/ä": s.OTHER_KEY.raw}
    for name, raw in keys.items():
        record = Named("Vkey", name=name, key_id=text.note_key_id(name, raw), raw=raw)
        book.good("vkey", f"name {name}", text.vkey(name, raw), record)
    for what, vkey in (("C2SP signed-note", C2SP_VKEY), ("Go's sumdb/note", GO_VKEY)):
        name, key_id, public = vkey.split("+", 2)
        book.good("vkey", f"example of {what}", vkey, Named("Vkey", name=name, key_id=bytes.fromhex(key_id), raw=b64decode(public)[1:]))
    name, raw = s.ORIGIN, s.NODE_KEY.raw
    key_id = text.note_key_id(name, raw).hex()
    public = b64encode(b"\x01" + raw).decode()
    bad = {
        "empty": "",
        "name alone": name,
        "no key": f"{name}+{key_id}",
        "empty name": f"+{text.note_key_id('', raw).hex()}+{public}",
        "name with a blank": text.vkey("example.org/a b", raw),
        "name with a no-break space": text.vkey("example.org/a\u00a0b", raw),
        "name with a plus": text.vkey("example.org/a+b", raw),
        "name with a newline": text.vkey("example.org/a\nb", raw),
        "key id of another name": f"{name}+{text.note_key_id('x', raw).hex()}+{public}",
        "key id of another key": f"{name}+{text.note_key_id(name, s.OTHER_KEY.raw).hex()}+{public}",
        "key id in capitals": f"{name}+{key_id.upper()}+{public}",
        "key id of 3 bytes": f"{name}+{key_id[:-2]}+{public}",
        "key id of 5 bytes": f"{name}+{key_id}00+{public}",
        "key id not hex": f"{name}+zzzzzzzz+{public}",
        "a bit of the key flipped": flipped_vkey(name, raw),
        "key of 31 bytes": text.vkey(name, raw[:-1]),
        "key of 33 bytes": text.vkey(name, raw + b"\x00"),
        "no padding where there is some": text.vkey(name, raw[:-1]).rstrip("="),
        "a blank at the end": f"{name}+{key_id}+{public} ",
        "a newline at the end": f"{name}+{key_id}+{public}\n",
        "a blank in front": f" {name}+{key_id}+{public}",
        "base64url": f"{name}+{key_id}+{public.replace('+', '-').replace('/', '_')}"
        if set("+/") & set(public)
        else f"{name}+{key_id}+-{public[1:]}",
        "base64 with a newline inside": f"{name}+{key_id}+{public[:8]}\n{public[8:]}",
        "cut off": f"{name}+{key_id}+{public[:-1]}",
        "a fourth part": f"{name}+{key_id}+{public}+x",
    }
    for kind in (0, 2, 4, 6, 255):
        typed = b64encode(bytes([kind]) + raw).decode()
        bad[f"of type {kind}, key id of that type"] = f"{name}+{text.note_key_id(name, raw, kind).hex()}+{typed}"
    for desc, vkey in bad.items():
        book.bad("vkey", desc, vkey, NOTE)


def flipped_vkey(name: str, raw: bytes) -> str:
    public = b64encode(b"\x01" + faults.bit_flipped(raw, 9)).decode()
    return f"{name}+{text.note_key_id(name, raw).hex()}+{public}"


CHECKPOINT_TEXT = text.checkpoint_text(s.ORIGIN, 1042, fill("log root", 32))
NODE_LINE = text.signature_line(s.ORIGIN, s.NODE_KEY, CHECKPOINT_TEXT)
NODE_VKEY = text.vkey(s.ORIGIN, s.NODE_KEY.raw)


def signature_of(line: str) -> list[object]:
    _, name, blob = line.rstrip("\n").split(" ")
    return [name, b64decode(blob)[:4], b64decode(blob)[4:]]


def note_cases(book: Book) -> None:
    witness = text.note_line("witness.example", fill("witness key id", 4), fill("cosignature", 72))
    early = text.note_line("a.example", fill("witness key id", 4), fill("cosignature", 72))
    notes = {
        "a checkpoint with one signature": (CHECKPOINT_TEXT, [NODE_LINE]),
        "a witness besides": (CHECKPOINT_TEXT, [NODE_LINE, witness]),
        "text with an empty line inside": ("one\n\ntwo\n", [text.signature_line("x", s.OTHER_KEY, "one\n\ntwo\n")]),
        "text with umlauts": ("größer\n", [text.signature_line("x", s.OTHER_KEY, "größer\n")]),
        "sixteen signatures": (CHECKPOINT_TEXT, [text.note_line(f"w{i:02}.example", bytes([i] * 4), bytes([i] * 64)) for i in range(16)]),
        "the log's own name before one that sorts before it": (CHECKPOINT_TEXT, [NODE_LINE, early]),
        "own name with two keys, then two others": (CHECKPOINT_TEXT, own_and_others()),
        "others by bytes of their names": (
            CHECKPOINT_TEXT,
            [text.note_line(name, bytes(4), bytes(64)) for name in ("Z", "a", "aa", "\u00e4", "\u4e2d")],
        ),
        "one key name, two key ids": (CHECKPOINT_TEXT, [text.note_line("w", bytes([i] * 4), bytes([i] * 64)) for i in range(2)]),
    }
    for desc, (body, lines) in notes.items():
        book.good("note", desc, text.note(body, *lines), Named("Note", text=body, signatures=[signature_of(line) for line in lines]))
    c2sp = text.note_line("example.com/foo", b64decode(C2SP_SIGNATURE)[:4], b64decode(C2SP_SIGNATURE)[4:])
    go = text.note_line("PeterNeumann", b64decode(GO_SIGNATURE)[:4], b64decode(GO_SIGNATURE)[4:])
    known = {
        "example of C2SP signed-note": (text.note(C2SP_TEXT, c2sp), [C2SP_VKEY]),
        "example of Go's sumdb/note": (text.note(GO_TEXT, go), [GO_VKEY]),
        "the node's signature": (text.note(CHECKPOINT_TEXT, NODE_LINE), [NODE_VKEY]),
        "the node's signature after one of an unknown key": (
            text.note("text\n", text.note_line("a.example", bytes(4), bytes(64)), text.signature_line("b.example", s.NODE_KEY, "text\n")),
            [text.vkey("b.example", s.NODE_KEY.raw)],
        ),
    }
    for desc, (data, vkeys) in known.items():
        book.good("note.verify", desc, [data, vkeys], vkeys)
    unknown = {
        "nobody known": [text.vkey("y", s.OTHER_KEY.raw)],
        "the same key under another name is another key": [text.vkey("other.example", s.NODE_KEY.raw)],
        "the same name with another key is another key": [text.vkey(s.ORIGIN, s.OTHER_KEY.raw)],
        "no key": [],
    }
    for desc, vkeys in unknown.items():
        book.good("note.verify", desc, [text.note(CHECKPOINT_TEXT, NODE_LINE), vkeys], [])
    for desc, data, error in bad_notes():
        book.bad("note", desc, data, error)
    for desc, data in forged_notes():
        book.bad("note.verify", desc, [data, [NODE_VKEY]], SIGNATURE)


def bad_notes() -> Iterator[tuple[str, bytes, int]]:
    body, line = CHECKPOINT_TEXT, NODE_LINE
    blob = line.rstrip("\n").split(" ")[2]
    lines = {
        "hyphen instead of a dash": line.replace(DASH, "-"),
        "en dash instead of an em dash": line.replace(DASH, "\u2013"),
        "two blanks after the dash": line.replace(DASH + " ", DASH + "  "),
        "no blank after the dash": line.replace(DASH + " ", DASH),
        "no name": f"{DASH} {blob}\n",
        "empty name": f"{DASH}  {blob}\n",
        "name with a plus": line.replace("example.org", "example+org"),
        "name with a no-break space": line.replace("example.org", "example\u00a0org"),
        "name with an ideographic space": line.replace("example.org", "example\u3000org"),
        "a fourth word": line.replace("\n", " x\n"),
        "a blank at the end": line.replace("\n", " \n"),
        "no signature": f"{DASH} {s.ORIGIN}\n",
        "empty signature": f"{DASH} {s.ORIGIN} \n",
        "a key id and no signature": text.note_line(s.ORIGIN, bytes(4), b""),
        "three bytes": f"{DASH} {s.ORIGIN} {b64encode(bytes(3)).decode()}\n",
        "base64 without padding": line.replace("=", ""),
        "base64 with too much padding": line.replace("\n", "=\n"),
        "base64url": f"{DASH} {s.ORIGIN} -_{blob[2:]}\n",
        "a character that base64 has not": f"{DASH} {s.ORIGIN} *{blob[1:]}\n",
        "base64 cut off": f"{DASH} {s.ORIGIN} {blob[:-5]}\n",
        "base64 whose spare bits are not zero": f"{DASH} {s.ORIGIN} {b64encode(bytes(68)).decode()[:-2]}B=\n",
        "no newline at the end": line[:-1],
        "carriage return": line.replace("\n", "\r\n"),
        "a line that is no signature before it": "text\n" + line,
        "a line that is no signature after it": line + "text\n",
    }
    for desc, wrong in lines.items():
        yield f"signature line: {desc}", text.note(body, wrong), NOTE
    yield "empty", b"", NOTE
    yield "text alone", body.encode(), NOTE
    yield "no signature line", (body + "\n").encode(), NOTE
    yield "no empty line", (body + line).encode(), NOTE
    yield "no text", ("\n" + line).encode(), NOTE
    yield "an empty line after the signatures", (body + "\n" + line + "\n").encode(), NOTE
    yield "a signature after an empty line more", (body + "\n" + line + "\n\n").encode(), NOTE
    yield "seventeen signatures", text.note(body, *[text.note_line(f"w{i:02}", bytes([i] * 4), bytes(64)) for i in range(17)]), NOTE
    for desc, wrong_order in bad_orders():
        yield f"signature lines: {desc}", text.note(body, *wrong_order), NOTE
    yield "longer than 4 KiB", text.note("x" * 4096 + "\n", line), NOTE
    for what, character in (
        ("tab", "\t"),
        ("null byte", "\x00"),
        ("carriage return", "\r"),
        ("escape", "\x1b"),
        ("unit separator", "\x1f"),
    ):
        yield f"control character in the text: {what}", text.note(f"te{character}xt\n", line), NOTE
    for what, data in (("a lone byte ff", b"\xff"), ("a cut sequence", b"\xc3"), ("a surrogate", b"\xed\xa0\x80")):
        yield f"not UTF-8: {what}", data + text.note(body, line), UTF8
        yield f"not UTF-8 in a signature line: {what}", text.note(body, line) + data + b"\n", UTF8


def own_and_others() -> list[str]:
    """Four signature lines in their order."""
    signed = [(name, bytes([i] * 4), bytes([i] * 64)) for i, name in enumerate(("w.example", s.ORIGIN, s.ORIGIN, "a.example"))]
    return text.ordered_note(CHECKPOINT_TEXT, signed).decode().split("\n\n")[1].splitlines(keepends=True)


def bad_orders() -> Iterator[tuple[str, list[str]]]:
    """The same lines in every order but theirs, and one of them twice."""
    lines = own_and_others()
    for at in range(len(lines) - 1):
        yield f"{at} and {at + 1} of four exchanged", [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
    yield "backwards", lines[::-1]
    yield "the log's own last", [*lines[2:], *lines[:2]]
    yield "the first last", [*lines[1:], lines[0]]
    for at in range(len(lines)):
        yield f"{at} of four twice", [*lines[: at + 1], *lines[at:]]
    yield "one at both ends", [*lines, lines[0]]
    yield "one key with two signatures", [lines[0], text.note_line(s.ORIGIN, bytes([1] * 4), bytes(64)), *lines[1:]]
    names = ("a", "aa"), ("Z", "a"), ("a", "\u00e4"), ("\uffee", "\U0001f600")
    for before, after in names:
        yield f"{before} after {after}", [text.note_line(name, bytes(4), bytes(64)) for name in (after, before)]
    yield "key ids of one name descending", [text.note_line("w", bytes([i] * 4), bytes(64)) for i in (1, 0)]
    yield "key ids as signed numbers", [text.note_line("w", bytes([i] * 4), bytes(64)) for i in (255, 0)]


def forged_notes() -> Iterator[tuple[str, bytes]]:
    good = s.NODE_KEY.sign(CHECKPOINT_TEXT.encode())
    key_id = text.note_key_id(s.ORIGIN, s.NODE_KEY.raw)

    def signed_with(signature: bytes, body: str = CHECKPOINT_TEXT) -> bytes:
        return text.note(body, text.note_line(s.ORIGIN, key_id, signature))

    for at in range(0, 64, 2):
        yield f"a bit flipped in byte {at} of the signature", signed_with(faults.bit_flipped(good, at))
    yield "another size", signed_with(good, CHECKPOINT_TEXT.replace("1042", "1043"))
    yield "another origin in the text", signed_with(good, CHECKPOINT_TEXT.replace("example.org", "example.com"))
    yield "another root", signed_with(good, text.checkpoint_text(s.ORIGIN, 1042, fill("another root", 32)))
    yield "signature over the text without its newline", signed_with(s.NODE_KEY.sign(CHECKPOINT_TEXT[:-1].encode()))
    yield "signature over the text and the empty line", signed_with(s.NODE_KEY.sign((CHECKPOINT_TEXT + "\n").encode()))
    yield "signature of another key under this key's id", signed_with(s.OTHER_KEY.sign(CHECKPOINT_TEXT.encode()))
    yield "63 bytes", signed_with(good[:-1])
    yield "65 bytes", signed_with(good + b"\x00")
    yield "one byte", signed_with(b"\x00")
    yield "a timestamped cosignature under an Ed25519 key's id", signed_with(bytes(8) + good)
    yield "64 zero bytes", signed_with(bytes(64))
    number = int.from_bytes(good[32:], "little")
    yield "s + L", signed_with(good[:32] + (number + ED25519_ORDER).to_bytes(32, "little"))
