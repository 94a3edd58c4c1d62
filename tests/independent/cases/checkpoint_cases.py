"""note.json: checkpoints of logs, with the notes they are signed in (SPEC.md section 5).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from base64 import b64encode
from collections.abc import Iterator

from tests.independent import samples as s
from tests.independent import text
from tests.independent.book import Book
from tests.independent.cases.note_cases import CHECKPOINT_TEXT, NODE_LINE, NODE_VKEY, note_cases, vkey_cases
from tests.independent.values import Named, fill

NOTE, CHECKPOINT, SIGNATURE, NOBODY = 130, 131, 201, 240


def note_book() -> Book:
    book = Book("note", "5. Logs: signed notes and checkpoints")
    vkey_cases(book)
    note_cases(book)
    checkpoint_cases(book)
    return book


def checkpoint_cases(book: Book) -> None:
    root = fill("log root", 32)
    samples = [
        (s.ORIGIN, 1042, root),
        (s.LEDGER_ORIGIN, 0, bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
    ]
    samples += [("x", 1, bytes(32)), ("example.org/log", 2**32, b"\xff" * 32), ("example.org/log", 2**63 - 1, root)]
    for origin, size, value in samples:
        record = Named("Checkpoint", origin=origin, size=size, root=value)
        book.good("checkpoint", f"{origin}, size {size}", text.checkpoint_text(origin, size, value), record)
    for desc, wrong in bad_checkpoints(root):
        book.bad("checkpoint", desc, wrong, CHECKPOINT)
    record = Named("Checkpoint", origin=s.ORIGIN, size=1042, root=root)
    book.good("checkpoint.open", "signed by the node", [text.note(CHECKPOINT_TEXT, NODE_LINE), [NODE_VKEY]], record)
    opened = {
        "signed by nobody known": (text.note(CHECKPOINT_TEXT, text.signature_line(s.ORIGIN, s.OTHER_KEY, CHECKPOINT_TEXT)), NOBODY),
        "signed by the node under another name": (
            text.note(CHECKPOINT_TEXT, text.signature_line("x", s.NODE_KEY, CHECKPOINT_TEXT)),
            NOBODY,
        ),
        "a known key fails": (text.note(CHECKPOINT_TEXT.replace("1042", "1041"), NODE_LINE), SIGNATURE),
        "no checkpoint, but signed": (text.note("hello\n", text.signature_line(s.ORIGIN, s.NODE_KEY, "hello\n")), CHECKPOINT),
        "extension line, but signed": (signed_checkpoint(CHECKPOINT_TEXT + "extension\n"), CHECKPOINT),
        "leading zero, but signed": (signed_checkpoint(CHECKPOINT_TEXT.replace("1042", "01042")), CHECKPOINT),
        "unsigned": (CHECKPOINT_TEXT.encode(), NOTE),
    }
    for desc, (data, error) in opened.items():
        book.bad("checkpoint.open", desc, [data, [NODE_VKEY]], error)


def signed_checkpoint(body: str) -> bytes:
    return text.note(body, text.signature_line(s.ORIGIN, s.NODE_KEY, body))


def bad_checkpoints(root: bytes) -> Iterator[tuple[str, str]]:
    good = text.checkpoint_text(s.ORIGIN, 1042, root)
    root_text = b64encode(root).decode()
    sizes = {
        "negative": "-1",
        "with a plus": "+1042",
        "with a leading zero": "01042",
        "00": "00",
        "hexadecimal": "0x412",
        "with a blank": " 1042",
    }
    sizes |= {
        "empty": "",
        "with a point": "1042.0",
        "with an underscore": "1_042",
        "exponential": "1e3",
        "2**63": str(2**63),
        "2**64": str(2**64),
    }
    sizes |= {"of a hundred digits": "9" * 100, "in Arabic digits": "\u0661\u0660", "a superscript": "\u00b2", "text": "true"}
    for what, size in sizes.items():
        yield f"size is {what}", good.replace("1042", size)
    roots = {"31 bytes": b64encode(root[:-1]).decode(), "33 bytes": b64encode(root + b"\x00").decode(), "empty": "", "hex": root.hex()}
    roots |= {"without padding": root_text.rstrip("="), "base64url": "-_" + root_text[2:], "with a blank": root_text + " "}
    roots |= {
        "whose spare bits are not zero": root_text[:-2] + text_after(root_text[-2]) + "=",
        "with a newline inside": root_text[:8] + "\n" + root_text[8:],
    }
    for what, wrong in roots.items():
        yield f"root is {what}", good.replace(root_text, wrong)
    yield "empty", ""
    yield "origin alone", s.ORIGIN + "\n"
    yield "no newline at the end", good[:-1]
    yield "an empty line at the end", good + "\n"
    yield "extension line", good + "extension\n"
    yield "first line missing", good.split("\n", 1)[1]
    yield "lines exchanged", "\n".join([*good.split("\n")[:1], root_text, "1042", ""])
    yield "carriage returns", good.replace("\n", "\r\n")
    for what, origin in (
        ("empty", ""),
        ("with a blank", "example.org a"),
        ("with a plus", "example.org+a"),
        ("with a tab", "example.org\ta"),
    ):
        yield f"origin {what}", good.replace(s.ORIGIN, origin)


def text_after(character: str) -> str:
    """The next character of the base64 alphabet, which differs in the last bit only where the first was even."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return alphabet[alphabet.index(character) ^ 1]


def books() -> list[Book]:
    return [note_book()]
