"""End to end: a real device process, a broker that may be hostile, the real backend. Contains no test."""
