"""The firmware and gateway agent: reads a meter, signs what it read, keeps it until the backend's signed ack.

In: a JSON config. Out: statements over MQTT. The same files run on MicroPython and on CPython 3.11 or later. Never imports server/.
"""

VERSION = "0.1.0"
