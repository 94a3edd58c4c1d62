"""ESP32-S3-DevKitC-1-N8 with a 3.3 V RS-485 transceiver: pins, ports and limits.

In: hardware/boards/esp32s3.toml, from which hardware/build_firmware.py --boards makes this file. Out: constants.
Never edited by hand: a test compares it with the table.
"""

BOARD = "esp32s3"
RS485_UART = 1
RS485_TX_PIN = 17
RS485_RX_PIN = 18
RS485_DE_RE_PIN = 16
RS485_BAUD_DEFAULT = 9600
RS485_BAUD_MAX = 115200
RS485_RX_BUFFER_BYTES = 512
LED_PIN = 2
LED_ON_LEVEL = 1
WATCHDOG_TIMEOUT_S = 60
JOURNAL_PARTITION = "journal"
JOURNAL_SECTORS = 1024
