"""Backup of a running home, and its restoration; a restored home signs nothing before its heads are agreed (SPEC section 13)."""
