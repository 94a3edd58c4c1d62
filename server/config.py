"""The backend's settings: HOME/meterproof.toml, read once into a frozen dataclass and passed as an argument.

In: a home directory. Out: a `Config`. Never holds a secret: keys stay in HOME/keys, and a broker's password in a file of its own.
"""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shared import ids
from shared.errors import DecodeError, MeterproofError, Unavailable

FORMAT = "meterproof/config/1"
FILE_NAME = "meterproof.toml"
FILE_BYTES_MAX = 16384
HTTP_PORT = 8321
BROKER_PORT = 1883
SECTIONS: dict[str, dict[str, type]] = {
    "": {"format": str, "chain_id": str, "organization": str, "origin": str},
    "http": {"host": str, "port": int},
    "broker": {"url": str, "host": str, "port": int, "password_file": str, "user": str, "user_password_file": str},
    "attestation": {"unknown_firmware": str},
    "evidence": {"ack_after": str},
    "heads": {"directory": str},
}
UNKNOWN_FIRMWARE = ("refuse", "flag")


@dataclass(frozen=True)
class Config:
    """One node. `broker_url` is None when the backend runs its own broker at broker_host:broker_port."""

    home: Path
    chain_id: str
    org: bytes
    origin: str
    http_host: str = "127.0.0.1"
    http_port: int = HTTP_PORT
    broker_url: str | None = None
    broker_host: str = "127.0.0.1"
    broker_port: int = BROKER_PORT
    broker_password_file: Path | None = None
    broker_user: str | None = None
    broker_user_password_file: Path | None = None
    unknown_firmware: str = "refuse"
    heads_directory: Path | None = None

    @property
    def genesis_path(self) -> Path:
        return self.home / "genesis.cbor"

    @property
    def policy_path(self) -> Path:
        return self.home / "policy.toml"

    @property
    def mqtt_address(self) -> tuple[str, int]:
        """Host and port of the broker, own or foreign."""
        if self.broker_url is None:
            return self.broker_host, self.broker_port
        return split_broker_url(self.broker_url)

    @property
    def mqtt_tls(self) -> bool:
        return self.broker_url is not None and self.broker_url.startswith("mqtts:")

    @property
    def api_url(self) -> str:
        host = f"[{self.http_host}]" if ":" in self.http_host else self.http_host
        return f"http://{host}:{self.http_port}"

    def key_path(self, name: str) -> Path:
        """Where the key `node`, `validator` or `admin` lies."""
        return self.home / "keys" / f"{name}.key"

    def broker_password(self) -> str | None:
        """The backend's own password at the broker, if it has one. Raises Unavailable 430."""
        if self.broker_user_password_file is None:
            return None
        try:
            return self.broker_user_password_file.read_text().strip()
        except OSError as error:
            raise Unavailable(430, f"broker password cannot be read: {error.strerror}") from None


def load_config(home: str | Path) -> Config:
    """The settings of a home directory. Raises DecodeError 195."""
    home = Path(home).absolute()
    path = home / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise DecodeError(195, f"{path}: {error.strerror}; `meterproof init HOME --org NAME` makes a home") from None
    if len(data) > FILE_BYTES_MAX:
        raise DecodeError(195, f"{path}: longer than {FILE_BYTES_MAX} bytes")
    try:
        document = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DecodeError(195, f"{path}: not TOML: {error}") from None
    return build_config(home, document)


def build_config(home: Path, document: Mapping[str, Any]) -> Config:
    """Checks every field by name and type; an unknown one is an error. Raises DecodeError 195."""
    top = {name: value for name, value in document.items() if not isinstance(value, dict)}
    _check_section("", top, required=True)
    parts: dict[str, Mapping[str, Any]] = {}
    for name in ("http", "broker", "attestation", "evidence", "heads"):
        parts[name] = document.get(name, {})
        _check_section(name, parts[name])
    unknown = {name for name, value in document.items() if isinstance(value, dict)} - SECTIONS.keys()
    if unknown:
        raise DecodeError(195, f"unknown section [{sorted(unknown)[0]}]")
    if top["format"] != FORMAT:
        raise DecodeError(195, f"format is not {FORMAT}")
    if parts["evidence"].get("ack_after", "local") != "local":
        raise DecodeError(195, "evidence.ack_after: this version acknowledges after local durability only")
    return check_config(_assemble(home, top, parts))


def _check_section(name: str, values: object, required: bool = False) -> None:
    where = f"{name}." if name else ""
    if not isinstance(values, Mapping):
        raise DecodeError(195, f"{name} is not a section")
    for field, value in values.items():
        if field not in SECTIONS[name]:
            raise DecodeError(195, f"unknown setting {where}{field}")
        if type(value) is not SECTIONS[name][field]:
            raise DecodeError(195, f"{where}{field} is not of type {SECTIONS[name][field].__name__}")
    for field in SECTIONS[name]:
        if required and field not in values:
            raise DecodeError(195, f"{where}{field} is missing")


def _assemble(home: Path, top: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> Config:
    http, broker = parts["http"], parts["broker"]
    try:
        org = ids.decode_id(ids.ORG, top["organization"])
    except MeterproofError as error:
        raise DecodeError(195, f"organization: {error.text}") from None

    def path_of(name: str) -> Path | None:
        return home / broker[name] if name in broker else None

    return Config(
        home=home,
        chain_id=top["chain_id"],
        org=org,
        origin=top["origin"],
        http_host=http.get("host", "127.0.0.1"),
        http_port=http.get("port", HTTP_PORT),
        broker_url=broker.get("url"),
        broker_host=broker.get("host", "127.0.0.1"),
        broker_port=broker.get("port", BROKER_PORT),
        broker_password_file=path_of("password_file"),
        broker_user=broker.get("user"),
        broker_user_password_file=path_of("user_password_file"),
        unknown_firmware=parts["attestation"].get("unknown_firmware", "refuse"),
        heads_directory=Path(parts["heads"]["directory"]) if "directory" in parts["heads"] else None,
    )


def check_config(config: Config) -> Config:
    """What must hold between fields. Raises DecodeError 195."""
    for name, port in (("http.port", config.http_port), ("broker.port", config.broker_port)):
        if not 0 < port < 65536:
            raise DecodeError(195, f"{name} is not a port")
    if config.unknown_firmware not in UNKNOWN_FIRMWARE:
        raise DecodeError(195, 'attestation.unknown_firmware is neither "refuse" nor "flag"')
    heads = config.heads_directory
    if heads is not None and (not heads.is_absolute() or heads.resolve().is_relative_to(config.home.resolve())):
        raise DecodeError(195, "heads.directory is not an absolute path outside the home: in it, it would be put back together with it")
    if config.broker_url is not None:
        split_broker_url(config.broker_url)
    elif config.broker_password_file is None and not is_loopback(config.broker_host):
        raise DecodeError(195, "broker.host is not loopback: name a broker.password_file, anonymous devices are allowed on loopback only")
    return config


def split_broker_url(url: str) -> tuple[str, int]:
    """Host and port of `mqtt://host[:port]` or `mqtts://…`. Raises DecodeError 195; a password in it is refused, it would end in logs."""
    parts = urlsplit(url)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/"):
        raise DecodeError(195, "broker.url is not mqtt://host[:port] or mqtts://host[:port]")
    if parts.username is not None or parts.password is not None:
        raise DecodeError(195, "broker.url carries credentials: use broker.user and broker.user_password_file")
    try:
        return parts.hostname, parts.port or (8883 if parts.scheme == "mqtts" else BROKER_PORT)
    except ValueError:
        raise DecodeError(195, "broker.url: not a port") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
