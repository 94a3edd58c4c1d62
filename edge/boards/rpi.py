"""Raspberry Pi (40-pin header) with an RS-485 HAT: pins, ports and limits.

In: hardware/boards/rpi.toml, from which hardware/build_firmware.py --boards makes this file. Out: constants.
Never edited by hand: a test compares it with the table.
"""

BOARD = "rpi"
RS485_PORT = "/dev/serial0"
RS485_TX_PIN = 14
RS485_RX_PIN = 15
RS485_DE_RE_PIN = 4
RS485_BAUD_DEFAULT = 9600
RS485_BAUD_MAX = 115200
LED_PIN = 17
LED_ON_LEVEL = 1
WATCHDOG_PORT = "/dev/watchdog"
WATCHDOG_TIMEOUT_S = 15
JOURNAL_PATH = "/var/lib/meterproof/journal.flash"
JOURNAL_SECTORS = 4096
