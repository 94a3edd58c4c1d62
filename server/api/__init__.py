"""HTTP: parse, call, encode. Every rule lives elsewhere."""
