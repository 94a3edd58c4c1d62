"""All tests. A package, so that `tests/shared` and the like never stand in the way of `shared`. In: the project. Out: passes or
failures."""
