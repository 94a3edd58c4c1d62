"""The default MQTT broker: amqtt in a process of its own, with per-device credentials and topics.

In: an address and perhaps a password file (`<org>/<device>:hash` a line). Out: a broker that runs until SIGTERM or its supervisor's end.
Never lets a device publish or subscribe outside meterproof/v1/<org>/<device>/, and never allows anonymous devices beyond the loopback.
"""

import asyncio
import logging
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from amqtt.broker import Broker, BrokerContext
from amqtt.contexts import Action, BaseContext, BrokerConfig, ListenerConfig
from amqtt.errors import BrokerError
from amqtt.plugins.authentication import AnonymousAuthPlugin, FileAuthPlugin
from amqtt.plugins.base import BaseTopicPlugin
from amqtt.session import Session
from pwdlib.hashers.argon2 import Argon2Hasher

from shared.errors import DecodeError, RuleError, Unavailable

from .config import is_loopback

CONNECTIONS_MAX = 4096
DELIVERIES_MAX = 1000  # to one client, not yet confirmed by it
MESSAGES_MAX = 4096  # taken from clients and not yet handed on
NODE_USER = "node"
TOPIC_ROOT = "meterproof/v1"
USER_NAME = re.compile(r"mporg1[a-z0-9]{6,60}/mpdev1[a-z0-9]{6,80}")
_LOG = logging.getLogger("meterproof.broker")
_HERE = __name__


class PasswordFile(FileAuthPlugin):
    """User names and argon2 hashes from a file that is read again when it changed; nobody without a name."""

    def __init__(self, context: BrokerContext) -> None:
        super().__init__(context)
        self._seen_ns = self._changed_ns()

    def _changed_ns(self) -> int:
        try:
            return os.stat(str(self.config.password_file)).st_mtime_ns
        except OSError:
            return 0

    async def authenticate(self, *, session: Session) -> bool | None:
        changed_ns = self._changed_ns()
        if changed_ns and changed_ns != self._seen_ns:
            self._users.clear()
            self._read_password_file()
            self._seen_ns = changed_ns
        # Argon2 is slow on purpose: a thread keeps the broker's loop going.
        return await asyncio.to_thread(self._check, session)

    def _check(self, session: Session) -> bool:
        stored = self._users.get(session.username or "")
        return stored is not None and self.pwd_hasher.verify(session.password or "", stored)

    @dataclass
    class Config(FileAuthPlugin.Config):
        """`password_file` as in the base class."""


class DeviceTopics(BaseTopicPlugin):
    """A device's name is its place in the topic tree: `<org>/<device>`."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        name = session.username if session else None
        return name is not None and topic is not None and is_topic_allowed(name, topic, self.config.node_user)

    @dataclass
    class Config:
        """The name of the backend itself."""

        node_user: str = NODE_USER


class Backlog(BaseTopicPlugin):
    """Bounds what waits for a client that is slow, and in all: what is too much is dropped, and comes again, since no signed ack came.

    amqtt has no such bound of its own, and keeps deliveries that are done behind the first one that is not.
    """

    def __init__(self, context: BrokerContext) -> None:
        super().__init__(context)
        self._broker = context._broker_instance
        self.dropped = 0

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if action == Action.PUBLISH:
            full = self._broker._broadcast_queue.qsize() >= MESSAGES_MAX
        elif action == Action.RECEIVE and session is not None:
            full = session.inflight_out_count >= DELIVERIES_MAX
            self._forget_done()
        else:
            return True
        self.dropped += full
        if full and self.dropped.bit_count() == 1:  # the 1st, 2nd, 4th, 8th, …
            _LOG.warning("%d messages dropped: a client is slower than those who send to it", self.dropped)
        return not full

    def _forget_done(self) -> None:
        tasks = self._broker._tasks_queue
        if len(tasks) >= 2 * DELIVERIES_MAX:
            waiting = [task for task in tasks if not task.done() or (not task.cancelled() and task.exception() is not None)]
            if len(waiting) <= len(tasks) // 2:
                tasks.clear()
                tasks.extend(waiting)

    @dataclass
    class Config:
        """Nothing to set."""


def is_topic_allowed(user: str, topic: str, node_user: str = NODE_USER) -> bool:
    """Whether a user may publish to, subscribe to or receive a topic or topic filter."""
    if user == node_user:
        return topic.startswith(TOPIC_ROOT + "/")
    if not USER_NAME.fullmatch(user):
        return False
    # A filter with a wildcard in the first four levels does not start with the user's own literal prefix.
    return topic.startswith(f"{TOPIC_ROOT}/{user}/")


def build_broker_config(host: str, port: int, password_file: Path | None, node_user: str = NODE_USER) -> BrokerConfig:
    """Raises DecodeError 195 when anonymous devices would be reachable from outside."""
    plugins: dict[str, object] = {f"{_HERE}.Backlog": {}}
    if password_file is not None:
        if not password_file.is_file():
            raise DecodeError(195, f"{password_file}: no such password file")
        plugins[f"{_HERE}.PasswordFile"] = {"password_file": str(password_file)}
        plugins[f"{_HERE}.DeviceTopics"] = {"node_user": node_user}
    elif is_loopback(host):
        plugins[f"{AnonymousAuthPlugin.__module__}.AnonymousAuthPlugin"] = {"allow_anonymous": True}
    else:
        raise DecodeError(195, f"{host} is not loopback: anonymous devices need a --password-file there")
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    listener = ListenerConfig(bind=bind, max_connections=CONNECTIONS_MAX)
    return BrokerConfig(listeners={"default": listener}, plugins=plugins)


async def run_broker(config: BrokerConfig, supervised: bool = False) -> None:
    """Serves until SIGTERM or SIGINT; with `supervised` also until stdin closes. Raises Unavailable 410 if it cannot listen."""
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    broker = Broker(config)
    try:
        await broker.start()
    except BrokerError as error:
        raise Unavailable(410, f"the broker cannot listen: {error}") from None
    who = "with a password each" if any("PasswordFile" in name for name in config.plugins or ()) else "anonymous (bound to loopback)"
    _LOG.warning("broker on %s, devices %s", config.listeners["default"].bind, who)
    try:
        await _stop_asked(supervised)
    finally:
        await broker.shutdown()


async def _stop_asked(supervised: bool) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    if supervised:
        # The supervisor holds the other end: when it dies, even by SIGKILL, this ends too and leaves the port free.
        loop.add_reader(sys.stdin.fileno(), _watch_end, asked)
    await asked.wait()


def _watch_end(asked: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asked.set()


def set_password(path: Path, user: str, password: str) -> None:
    """Adds a user to a password file or changes the password. Raises RuleError 306 for a name that is neither the node's nor a device's."""
    if user != NODE_USER and not USER_NAME.fullmatch(user):
        raise RuleError(306, f'a user is "{NODE_USER}" or <organization>/<device> in text form')
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.split(":", 1)[0] != user]
    kept.append(f"{user}:{Argon2Hasher().hash(password)}")
    temporary = path.with_suffix(".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(kept) + "\n")
        file.flush()
        os.fsync(handle)
    temporary.replace(path)
