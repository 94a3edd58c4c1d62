"""Heap on MicroPython, where code lies in it too. In: names of modules. Out: room. Does nothing on CPython."""

import gc
import sys

GC_BYTES = 6144  # collect often: garbage between what stays leaves no room in one piece; more often, and signing takes many times as long
ROOM_BYTES = 49_152  # with so much free, what is needed again and again stays


def collect_often() -> None:
    if hasattr(gc, "threshold") and sys.implementation.name == "micropython":
        gc.threshold(GC_BYTES)


def forget(name: str, package: str = "edge") -> None:
    """Frees a part that is not needed now: on MicroPython code lies in the heap."""
    if sys.implementation.name == "micropython":
        sys.modules.pop(package + "." + name, None)
        if hasattr(sys.modules.get(package), name):
            delattr(sys.modules[package], name)
        gc.collect()


def let_go(name: str, package: str = "edge") -> None:
    """Forgets a part that will be needed again, where the heap is small."""
    if sys.implementation.name == "micropython" and gc.mem_free() < ROOM_BYTES:
        forget(name, package)
