"""What every command shares: options, the person's key, signing and sending, and two ways to print.

In: options and environment. Out: a `Session`. Never sends a private key anywhere: transactions and access tokens are signed here.
"""

import functools
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from server.config import FILE_NAME, Config, load_config
from server.keystore import SigningKey
from shared import ids
from shared.errors import FAMILIES, DecodeError, MeterproofError

from .client import Client
from .words import printable

F = TypeVar("F", bound=Callable[..., Any])
ACCESS_S = 45
NONCE_TRIES = 3


class IdType(click.ParamType[bytes]):
    """An id in its bech32m text form."""

    def __init__(self, prefix: str) -> None:
        self.name = prefix
        self._prefix = prefix

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return ids.decode_id(self._prefix, value)
        except MeterproofError as error:
            self.fail(f"{value!r}: {error.text}", param, ctx)


class HexType(click.ParamType[bytes]):
    """Bytes of one length in hexadecimal."""

    name = "hex"

    def __init__(self, length: int) -> None:
        self._length = length

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            data = bytes.fromhex(value)
        except ValueError:
            data = b""
        if len(data) != self._length:
            self.fail(f"{value!r} is not {2 * self._length} hexadecimal digits", param, ctx)
        return data


ORG, POINT, DEVICE, KID = IdType(ids.ORG), IdType(ids.POINT), IdType(ids.DEVICE), IdType(ids.KEY)
HASH = HexType(32)


@dataclass(frozen=True)
class Session:
    """One command's settings; the key is read only when something must be signed."""

    home: Path
    url: str | None
    key_path: Path | None
    as_json: bool

    @functools.cached_property
    def config(self) -> Config | None:
        return load_config(self.home) if (self.home / FILE_NAME).exists() else None

    @functools.cached_property
    def client(self) -> Client:
        if self.url is not None:
            return Client(self.url)
        if self.config is None:
            raise DecodeError(195, f"{self.home} holds no {FILE_NAME}: name a --home, METERPROOF_HOME, or the backend's --url")
        return Client(self.config.api_url)

    @functools.cached_property
    def key(self) -> SigningKey:
        path = self.key_path or self.home / "keys" / "admin.key"
        return SigningKey.load(path)

    @functools.cached_property
    def chain_id(self) -> str:
        """From the home if there is one: a backend could name another chain and have us sign for that."""
        return self.config.chain_id if self.config is not None else str(self.client.get_json("/v1/status")["chain_id"])

    def signer(self) -> dict[str, Any]:
        """What the ledger says about our key: organization, roles, next nonce."""
        record: dict[str, Any] = self.client.get_json(f"/v1/keys/{ids.encode_id(ids.KEY, self.key.kid)}")
        return record

    def transact(self, kind: str, body: dict[int, Any]) -> dict[str, Any]:
        """Signs a transaction and sends it; returns the receipt. A nonce taken by a command beside us is fetched anew."""
        from server.ledger.transactions import build_tx

        for left in reversed(range(NONCE_TRIES)):
            signer = self.signer()
            org = ids.decode_id(ids.ORG, signer["organization"])
            data = build_tx(self.key, self.chain_id, org, signer["nonce"], kind, body)
            try:
                return check_receipt(self.client.post("/v1/transactions", data))
            except MeterproofError as error:
                if error.code != 300 or not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def get_allowed(self, path: str) -> bytes:
        """GET with an access token for exactly this request."""
        from server.registry.access import build_token

        org = ids.decode_id(ids.ORG, self.signer()["organization"])
        expires_s = int(time.time()) + ACCESS_S
        token = build_token(self.key, self.chain_id, org, "GET", path, expires_s, secrets.token_bytes(16), sha256(b"").digest())
        return self.client.get_bytes(path, token)

    def get_allowed_json(self, path: str) -> Any:
        from .client import decode_json

        return decode_json(self.get_allowed(path))

    def emit(self, data: Any, text: str) -> None:
        """`data` with --json, else `text`."""
        click.echo(printable(json.dumps(data, indent=2, ensure_ascii=False) if self.as_json else text))


def check_receipt(receipt: dict[str, Any]) -> dict[str, Any]:
    """Raises the error a transaction that is in a block ended with."""
    code = receipt["code"]
    if code:
        raise FAMILIES[code // 100](code, f"the transaction is in block {receipt['height']}, but was refused there")
    return receipt


def session_options(command: F) -> F:
    """Adds --home, --url, --key and --json and hands the command a Session."""

    @click.option("--home", envvar="METERPROOF_HOME", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
                  help="Directory made by `meterproof init` (or METERPROOF_HOME).")  # fmt: skip
    @click.option("--url", envvar="METERPROOF_URL", help="The running backend; by default as in HOME/meterproof.toml (or METERPROOF_URL).")
    @click.option("--key", "key_path", envvar="METERPROOF_KEY", type=click.Path(path_type=Path, dir_okay=False),
                  help="Your key file, by default HOME/keys/admin.key (or METERPROOF_KEY). It never leaves this machine.")  # fmt: skip
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def wrapped(*args: Any, home: Path, url: str | None, key_path: Path | None, as_json: bool, **others: Any) -> Any:
        return command(Session(home, url, key_path, as_json), *args, **others)

    return wrapped  # type: ignore[return-value]


def with_query(path: str, **values: object) -> str:
    """A path with those query values that are not None."""
    parts = [f"{name}={quote(str(value), safe='')}" for name, value in values.items() if value is not None]
    return path + ("?" + "&".join(parts) if parts else "")


def columns(header: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "none") -> str:
    """A plain table: columns by width, never cut."""
    if not rows:
        return empty
    table = [list(header)] + [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)


def pairs(items: Sequence[tuple[str, object]]) -> str:
    """Lines of name and value."""
    width = max(len(name) for name, _ in items)
    return "\n".join(f"{name.ljust(width)}  {'-' if value is None else value}" for name, value in items)
