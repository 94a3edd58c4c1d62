"""Real brokers as processes: mosquitto, and this project's own.

In: a folder for a configuration, a port. Out: commands to run, a configuration. Never installs anything: it names what is missing.
"""

import os
import shutil
import sys
from pathlib import Path

from shared.errors import Unavailable

KINDS = ("mosquitto", "amqtt")
QUEUED_MAX = 20_000  # messages that mosquitto holds for a backend that is slow; the others it drops and counts

_CONFIG = """\
# What a backend needs of mosquitto: room for what many devices send at once, and no memory of it, since only a signed ack counts;
# nothing longer than any bundle, for the backend's client takes a whole packet into memory before it can be judged.
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_type error
max_inflight_messages {inflight}
max_queued_messages {queued}
message_size_limit {payload}
"""
INFLIGHT_MAX = 1000
PAYLOAD_BYTES_MAX = 65535  # SPEC section 8


def mosquitto_path() -> str:
    """The program. Raises Unavailable 460 with the name of the package when it is not installed."""
    found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Unavailable(460, "the broker mosquitto is not installed: install the system package 'mosquitto' (`sh .ci/setup-faults`)")
    return found


def broker_command(kind: str, folder: Path, port: int) -> list[str]:
    """What starts a broker of this kind on a port of the loopback, without passwords."""
    if kind == "amqtt":
        return [sys.executable, "-m", "server.cli", "broker", "--port", str(port)]
    config = folder / f"mosquitto-{port}.conf"
    text = _CONFIG.format(port=port, inflight=INFLIGHT_MAX, queued=QUEUED_MAX, payload=PAYLOAD_BYTES_MAX)
    config.write_text(text, encoding="utf-8")
    return [mosquitto_path(), "-c", str(config)]
