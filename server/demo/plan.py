"""What goes wrong during the demonstration, and when. In: how long the replay takes. Out: moments in order. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """Something goes down (or comes back) `at_s` seconds into the replay; kind is broker, backend or meter."""

    at_s: float
    kind: str
    down: bool
    say: str


def build_plan(run_s: int) -> list[Moment]:
    """Three outages, none beside another: by daylight each, so that the chart shows them."""
    return [
        Moment(0.16 * run_s, "broker", True, "the broker goes down: the meters keep what they read"),
        Moment(0.28 * run_s, "broker", False, "the broker is back: the meters send what they kept"),
        Moment(0.60 * run_s, "backend", True, "SIGKILL to the backend"),
        Moment(0.68 * run_s, "backend", False, "the backend starts again from its files"),
        Moment(0.75 * run_s, "meter", True, "SIGKILL to meter-2, in the middle of whatever it is doing"),
        Moment(0.80 * run_s, "meter", False, "meter-2 starts again: same key, next sequence, new boot count"),
    ]
