"""Transactions that wait for their block, each with the future its sender awaits.

In: transactions in the order in which they were checked. Out: the next block's share, answers. Never answers twice: a sender may be gone.
"""

import asyncio
from collections.abc import Iterable

from shared.state import Receipt

from ..rules import Outcome
from ..transactions import Tx

Waiting = tuple[Tx, asyncio.Future[Receipt]]


def take(waiting: list[Waiting], count_max: int, bytes_max: int) -> tuple[list[Waiting], list[Waiting]]:
    """(those for the next block, the rest): the first ones, within both bounds, but at least one."""
    count = total = 0
    for tx, _ in waiting[:count_max]:
        total += len(tx.data)
        if count and total > bytes_max:
            break
        count += 1
    return waiting[:count], waiting[count:]


def answer(waiting: Waiting, outcome: Outcome) -> None:
    """The receipt, or the error it carries."""
    future = waiting[1]
    if future.done():  # the caller went away
        return
    if outcome.error is None:
        future.set_result(outcome.receipt)
    else:
        future.set_exception(outcome.error)


def fail(waiting: Iterable[Waiting], error: Exception) -> None:
    """All of them."""
    for _, future in waiting:
        if not future.done():
            future.set_exception(error)
