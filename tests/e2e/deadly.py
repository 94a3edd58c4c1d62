"""The firmware, told at which point to die: `edge.main` with one of its functions replaced by one that ends the process with SIGKILL, in
MicroPython as in CPython. In: CONFIG POINT:NTH. Out: a process that is killed there, or that never comes there. Contains no test.
"""

import os
import sys

import edge.main


def short_names(wanted: list[str]) -> dict[str, str]:
    """What names of the sources are called in this image: a MicroPython image says it in linked/names.txt, other firmware is as its
    sources."""
    found = {}
    for folder in sys.path:
        try:
            with open((folder or ".") + "/linked/names.txt") as file:
                for line in file:
                    short, name = line.split()
                    if name in wanted and (":" in name or short.startswith(".")):
                        found[name] = short.lstrip(".")
        except OSError:
            pass
    return found


def die() -> None:
    os.system("kill -9 $PPID")
    while True:
        pass


class Count:
    """Says when it was called for the nth time."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def hit(self) -> bool:
        self.left -= 1
        return self.left == 0


def before(cls: type, name: str, count: Count) -> None:
    real = getattr(cls, name)

    def dying(*args: object) -> object:
        if count.hit():
            die()
        return real(*args)

    setattr(cls, name, dying)


def after(cls: type, name: str, count: Count) -> None:
    real = getattr(cls, name)

    def dying(*args: object) -> object:
        result = real(*args)
        if count.hit():
            die()
        return result

    setattr(cls, name, dying)


def half_program(cls: type, name: str, count: Count) -> None:
    real = getattr(cls, name)

    def dying(self: object, address: int, data: bytes) -> None:
        if count.hit():
            real(self, address, bytes(data[: len(data) // 2]))
            die()
        real(self, address, data)

    setattr(cls, name, dying)


def half_erase(cls: type, name: str, count: Count) -> None:
    real = getattr(cls, name)

    def dying(self: object, sector: int) -> None:
        if count.hit():
            file = getattr(self, short_names(["_file"]).get("_file", "_file"))
            file.seek(sector * 4096)
            file.write(b"\xff" * 2048)
            die()
        real(self, sector)

    setattr(cls, name, dying)


# What is durable when, in the order of a reading's way: journal → statement → broker → ack → freed.
POINTS = {
    "boot-counted": ("notebook", "Notebook", "booted", before),
    "record-half-written": ("flash", "FileFlash", "program", half_program),
    "reading-durable": ("notebook", "Notebook", "taken", before),
    "statement-signed": ("journal", "Journal", "seal", before),
    "statement-durable": ("notebook", "Notebook", "sealed", before),
    "published": ("notebook", "Notebook", "published", before),
    "ack-verified": ("outbox", "Outbox", "apply_ack", before),
    "flag-cleared": ("ring", "Ring", "clear_flag", after),
    "sector-opened": ("ring", "Ring", "open_next", after),
    "sector-half-erased": ("flash", "FileFlash", "erase", half_erase),
}


def home_of(module: str, name: str, short: dict[str, str]) -> object:
    """The module in which something of `edge/` is found at run time: a linked image has it all in one."""
    linked = name in short
    return getattr(__import__("edge.device" if linked else "edge." + module), "device" if linked else module)


def arm(point: str, nth: int) -> None:
    module, cls, name, how = POINTS[point]
    whole = f"edge.{module}:{cls}"
    short = short_names([whole, name])
    how(getattr(home_of(module, whole, short), short.get(whole, cls)), short.get(name, name), Count(nth))


if __name__ == "__main__":
    point, nth = sys.argv.pop().split(":")
    short = short_names(["edge.device:prepare", "edge.main:main"])
    device = home_of("device", "edge.device:prepare", short)
    name = short.get("edge.device:prepare", "prepare")
    prepare = getattr(device, name)

    def armed_prepare(settings: object) -> object:
        """Armed when the tables are made: any earlier, there would be no room for those."""
        prepared = prepare(settings)
        arm(point, int(nth))
        return prepared

    setattr(device, name, armed_prepare)
    sys.exit(getattr(edge.main, short.get("edge.main:main", "main"))(sys.argv))
