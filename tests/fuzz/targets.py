"""All targets by name. In: a name. Out: its Target. Never two of one name."""

from tests.fuzz import targets_edge, targets_server, targets_shared, targets_twins
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {}
for target in (*targets_shared.targets(), *targets_edge.targets(), *targets_server.targets(), *targets_twins.targets()):
    assert target.name not in TARGETS, target.name
    TARGETS[target.name] = target
