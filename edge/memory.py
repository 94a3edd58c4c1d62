"""Heap on MicroPython, where code lies in it too. In: names of modules. Out: room. Does nothing on CPython."""

import gc
import sys

GC_BYTES = 2048  # collect early and often: garbage between what stays leaves no room in one piece


def collect_often() -> None:
    if hasattr(gc, "threshold") and sys.implementation.name == "micropython":
        gc.threshold(GC_BYTES)


def forget(name: str, package: str = "edge") -> None:
    """Frees a module that is needed only at the start: on MicroPython code lies in the heap."""
    if sys.implementation.name == "micropython":
        sys.modules.pop(package + "." + name, None)
        if hasattr(sys.modules[package], name):
            delattr(sys.modules[package], name)
        gc.collect()
