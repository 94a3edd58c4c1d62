"""Named points at which a test may kill this process, to prove that a crash there loses and forks nothing.

In: the environment variable METERPROOF_KILL_AT, "name" or "name:n" for the n-th time. Out: nothing, or SIGKILL to ourselves. Never set
outside tests.
"""

import os
import signal
from collections import Counter

_WANTED, _, _NTH = os.environ.get("METERPROOF_KILL_AT", "").partition(":")
_reached: Counter[str] = Counter()


def reach(name: str) -> None:
    """Kills this process if the test asked for death at this point: no handler, no flush, as a power cut would."""
    if name != _WANTED:
        return
    _reached[name] += 1
    if _reached[name] == int(_NTH or 1):
        os.kill(os.getpid(), signal.SIGKILL)
