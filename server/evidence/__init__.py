"""The evidence log of one origin: tiles, rows beside them, findings, evidence files, fsck."""
