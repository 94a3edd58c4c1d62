"""One seed replays a fleet, a broker, a person and a backend through simulated days: the real code of both sides, every fault there is.

`run.py` runs a seed, `checks.py` says what must hold after every step, `make sim SEEDS=n` runs many. Contains no test itself but in
test_*.py.
"""
