"""What decides the order of transactions. Every engine drives the same LedgerCore; none touches a rule.

In: transactions. Out: durable blocks. Never two engines on one ledger at a time.
"""
