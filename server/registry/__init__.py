"""Who may do what: access of people, attestation of devices. Organizations, keys, points and devices themselves are ledger state."""
