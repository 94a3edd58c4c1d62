"""One decoder under the coverage-guided fuzzer, in a process of its own (libFuzzer ends its process).

    python -m tests.fuzz.child NAME INPUTS SECONDS ARTIFACTS CORPUS SEEDS

In: a target's name, how many inputs, how long at most, folders. Out: a line of JSON now and then and at the end, on standard output;
libFuzzer's own words on standard error; what broke the decoder in the folder of artifacts. Never takes a timing for a failure.
"""

import json
import os
import random
import resource
import sys
import time
from statistics import median

import atheris

# Only what is imported here is watched for coverage.
with atheris.instrument_imports(include=["shared", "server", "edge", "tests.fuzz.planted"]):
    from tests.fuzz.planted import PLANTED
    from tests.fuzz.targets import TARGETS

from tests.fuzz.mutate import Mutator
from tests.fuzz.target import Target, check_input

REPORT_S = 1.0
BYTES_MIN, BYTES_MAX = 512, 16_384  # longest input: what costs by length is counted elsewhere, without the fuzzer
RSS_MB_MAX = 1024
INPUT_S_MAX = 30


class Run:
    """Counts inputs and ends the process when there were enough."""

    def __init__(self, target: Target, inputs_max: int, seconds_max: float) -> None:
        self._target = target
        self._mutator = Mutator(target.seeds, target.tree, target.finish)
        self._inputs_max = inputs_max
        self._seconds_max = seconds_max
        self._started_s = self._reported_s = time.monotonic()
        self._inputs = self._accepted = self._slowest_us = 0

    def one(self, data: bytes) -> None:
        started_s = time.monotonic()
        self._accepted += check_input(self._target, data) == 0
        now_s = time.monotonic()
        self._inputs += 1
        self._slowest_us = max(self._slowest_us, int(1e6 * (now_s - started_s)))
        done = self._inputs >= self._inputs_max or now_s - self._started_s >= self._seconds_max
        if done or now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self._report(now_s - self._started_s, done)
        if done:
            os._exit(0)

    def _report(self, seconds: float, done: bool) -> None:
        rss_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        said = {"inputs": self._inputs, "accepted": self._accepted, "slowest_us": self._slowest_us, "rss_kib": rss_kib}
        print(json.dumps({**said, "seconds": round(seconds, 3), "done": done}), flush=True)

    def mutate(self, data: bytes, length_max: int, seed: int) -> bytes:
        """Mostly by libFuzzer, which learns from comparisons; the others, which cost more, by what the format is."""
        chance = random.Random(seed)
        if chance.random() < 0.7:
            return atheris.Mutate(data, length_max)
        return self._mutator.change(data, chance)[:length_max] or b"\x00"


def main(arguments: list[str]) -> None:
    name, inputs, seconds, artifacts, *folders = arguments
    target = PLANTED if name == PLANTED.name else TARGETS[name]
    run = Run(target, int(inputs), float(seconds))
    length_max = min(max(BYTES_MIN, 2 * int(median(map(len, target.seeds)))), BYTES_MAX)
    options = ["-runs=-1", f"-max_len={length_max}", f"-artifact_prefix={artifacts}/", f"-rss_limit_mb={RSS_MB_MAX}"]
    options += [f"-timeout={INPUT_S_MAX}", "-reload=0", "-print_final_stats=0", "-use_value_profile=0"]
    atheris.Setup([sys.argv[0], *options, *folders], run.one, custom_mutator=run.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
