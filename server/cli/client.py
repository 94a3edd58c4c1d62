"""The command line's side of the HTTP API.

In: a base URL, a method, a path. Out: decoded JSON or bytes; the backend's own errors as typed errors, Unavailable 410 when it is away.
Never follows a redirect and never reads an answer without a limit.
"""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from shared.codes import CODES
from shared.errors import FAMILIES, DecodeError, MeterproofError, Unavailable

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 64 << 20


class Client:
    """One connection for each call: a command makes a few."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DecodeError(195, "the backend's URL is not http://host[:port] or https://host[:port]")
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._parts = parts
        self._timeout_s = timeout_s

    def get_json(self, path: str, token: str | None = None) -> Any:
        return decode_json(self.call("GET", path, token=token))

    def get_bytes(self, path: str, token: str | None = None) -> bytes:
        return self.call("GET", path, token=token)

    def post(self, path: str, body: bytes) -> Any:
        return decode_json(self.call("POST", path, body))

    def call(self, method: str, path: str, body: bytes | None = None, token: str | None = None) -> bytes:
        """The body of a 2xx answer. Raises the backend's own error, or Unavailable 410."""
        headers = {"Accept": "application/json, application/cbor, application/problem+json"}
        if body is not None:
            headers["Content-Type"] = "application/cbor"
        if token is not None:
            headers["Authorization"] = f"Meterproof {token}"
        connection = self._connect()
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            data = response.read(ANSWER_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(410, f"no backend answers at {self.url} ({reason}); is `meterproof serve` running?") from None
        finally:
            connection.close()
        if len(data) > ANSWER_BYTES_MAX:
            raise DecodeError(190, "the backend's answer is too long")
        if not 200 <= response.status < 300:
            raise error_of(response.status, data)
        return data

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        try:
            return kind(self._parts.hostname or "", self._parts.port, timeout=self._timeout_s)
        except ValueError:
            raise DecodeError(195, "the backend's URL names no valid port") from None


def decode_json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        raise DecodeError(190, "the backend's answer is not JSON") from None


def error_of(status: int, data: bytes) -> MeterproofError:
    """The typed error that an application/problem+json body carries."""
    try:
        problem = json.loads(data)
        code, text = problem["code"], str(problem["detail"])
        if type(code) is int and code in CODES:
            return FAMILIES[code // 100](code, text)
    except (ValueError, KeyError, TypeError):
        pass
    return Unavailable(410, f"the backend answered with HTTP status {status}")
