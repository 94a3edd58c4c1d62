"""The four error families, each with stable integer codes that are never reused.

In: a code and a text for people. Out: an exception whose `code` programs may rely on. Never carries secrets or whole inputs.
"""

try:
    from .codes import CODES
except ImportError:
    CODES = {}


class MeterproofError(Exception):
    """Base of all families; `code` is stable, `text` is for people."""

    hundred = 0

    def __init__(self, code: int, text: str) -> None:
        if self.hundred and code // 100 != self.hundred:
            raise ValueError("error code of another family")
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        name = CODES.get(self.code, "error") + ", " + str(self.code)
        return self.text + " (" + name + ")" if self.text else name


class DecodeError(MeterproofError):
    """Malformed bytes: drop, count, keep a sample."""

    hundred = 1


class VerifyError(MeterproofError):
    """Well-formed, but not trusted."""

    hundred = 2


class RuleError(MeterproofError):
    """Trusted, but breaks a rule."""

    hundred = 3


class Unavailable(MeterproofError):
    """Cannot be done now: retry with back-off."""

    hundred = 4


FAMILIES = {1: DecodeError, 2: VerifyError, 3: RuleError, 4: Unavailable}
