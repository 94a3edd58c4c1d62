"""Writes tests/vectors/*.json: `python -m tests.independent.make_vectors` or `make vectors`.

In: the second encoder. Out: the golden files, the same bytes in every run. Never fewer than five negatives for each positive.
"""

from pathlib import Path

from tests.independent.book import Book
from tests.independent.cases import (
    attest_cases,
    bundle_cases,
    cbor_cases,
    checkpoint_cases,
    cose_cases,
    evidence_cases,
    id_cases,
    ledger_cases,
    message_cases,
    policy_cases,
    state_cases,
    statement_cases,
    transaction_cases,
    tree_cases,
)

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
MODULES = (
    cbor_cases,
    cose_cases,
    statement_cases,
    bundle_cases,
    message_cases,
    attest_cases,
    id_cases,
    checkpoint_cases,
    tree_cases,
    state_cases,
    transaction_cases,
    ledger_cases,
    evidence_cases,
    policy_cases,
)


def all_books() -> list[Book]:
    """Every golden file's book."""
    return [book for module in MODULES for book in module.books()]


def main() -> None:
    for book in all_books():
        good = sum("want" in case for case in book.cases)
        (VECTORS / f"{book.name}.json").write_text(book.to_json(), encoding="utf-8")
        print(f"{book.name + '.json':24} {good:4} positive {len(book.cases) - good:5} negative")


if __name__ == "__main__":
    main()
