"""Errors as application/problem+json (RFC 9457) with our code and name.

In: an exception. Out: an HTTP answer. Never shows a traceback, a path of this machine or a secret.
"""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.codes import CODES
from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_S = 1
FAMILY_STATUS = {1: 400, 2: 422, 3: 409, 4: 503}
STATUS = {
    106: 413,
    202: 501,
    270: 500,
    271: 500,
    272: 500,
    301: 403,
    303: 404,
    305: 403,
    306: 422,
    307: 403,
    320: 404,
    350: 401,
    351: 403,
    420: 429,
}


def status_of(error: MeterproofError) -> int:
    """The HTTP status of a typed error."""
    return STATUS.get(error.code, FAMILY_STATUS[error.code // 100])


def problem(status: int, code: int | None, name: str, text: str) -> JSONResponse:
    """The answer; `code` is None for what is no error of ours."""
    body = {"type": f"urn:meterproof:error:{name}", "title": name, "status": status, "detail": text, "code": code, "name": name}
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Meterproof"
    if status in (429, 503):
        headers["Retry-After"] = str(RETRY_S)
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Handlers for everything that can end a request early."""
    app.add_exception_handler(MeterproofError, _typed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(OSError, _files)
    app.add_exception_handler(Exception, _fault)


async def _typed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MeterproofError)
    return problem(status_of(error), error.code, CODES.get(error.code, "error"), error.text)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return await _typed(request, DecodeError(190, f"{where}: {first['msg']}"))


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return await _typed(request, RuleError(303, "nothing is at this address"))
    return problem(error.status_code, 190, CODES[190], str(error.detail))


async def _files(request: Request, error: Exception) -> JSONResponse:
    """A disk that fails or a limit of the system, while tiles are read: it may pass. Without the error's own text, which names a path."""
    assert isinstance(error, OSError)
    return await _typed(request, Unavailable(400, f"the files of this node cannot be read now: {error.strerror or type(error).__name__}"))


async def _fault(_: Request, error: Exception) -> JSONResponse:
    """Our own bug: the log gets the traceback from the server, the caller does not."""
    return problem(500, None, "internal-fault", f"a fault of the program ({type(error).__name__}); it is in the log of the backend")
