"""The ledger: transactions by people, nodes and validators, a pure state machine, blocks, and proofs of what it holds.

In: signed transactions, a block height and time. Out: receipts, an app hash, proofs of one committed block. Never carries readings.
"""
