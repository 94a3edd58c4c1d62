"""MicroPython's unix port or CPython on any computer: pins, ports and limits.

In: hardware/boards/unix.toml, from which hardware/build_firmware.py --boards makes this file. Out: constants.
Never edited by hand: a test compares it with the table.
"""

BOARD = "unix"
JOURNAL_PATH = "journal.flash"
JOURNAL_SECTORS = 256
