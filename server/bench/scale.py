"""How much is measured: everything, or quickly. In: nothing. Out: two scales. Never changes which rows there are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """`repeats` of most things; the counts are of one repetition, `statements` of the whole evidence log an evidence file is taken from."""

    repeats: int
    bundles: int
    statements: int
    transactions: int
    leaves: int
    log_entries: int
    ledger_txs: int
    runs: int  # of a program
    sign_repeats: int
    journal_bundles: int
    large_leaves: int
    large_statements: int  # at 60 readings each: ten million readings
    fleet: int  # devices that send at once through a broker
    fleet_bundles: int  # of each
    fleet_repeats: int
    day_devices: int


FULL = Scale(5, 1024, 10_000, 2000, 1_000_000, 262_144, 1_000_000, 9, 41, 200, 10_000_000, 166_667, 250, 24, 3, 1000)
QUICK = Scale(1, 128, 300, 300, 1_000_000, 8_192, 20_000, 1, 5, 30, 100_000, 2_000, 20, 10, 1, 20)
