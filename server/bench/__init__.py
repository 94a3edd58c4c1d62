"""`meterproof bench`: what this machine reaches, beside what its primitives allow in the same run."""
