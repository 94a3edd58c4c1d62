"""Sentences for a terminal of 80 columns. In: texts, seconds. Out: lines. Never cuts a word; never lets a character through that
a terminal might obey: topics and reasons come from strangers."""

import textwrap

WIDTH = 80


def wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
    """Lines of at most 80 columns, unless one word alone is longer; `first` stands before the first line, as wide as the indent."""
    start = indent if first is None else first
    return textwrap.wrap(text, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def printable(text: str) -> str:
    """The text with everything but newlines and what can be seen written as JSON writes it escaped, so that JSON stays the same JSON."""
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def counted(count: int, one: str, many: str | None = None) -> str:
    """1 statement, 2 statements."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def ago_text(seconds: int) -> str:
    """45 s, 12 min, 3 h, 5 days ago."""
    for length, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {name} ago"
    return f"{max(seconds, 0)} s ago"
