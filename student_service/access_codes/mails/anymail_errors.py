"""What the errors of Anymail mean.

| Error | Means |
|---|---|
| `AnymailRecipientsRefused`, `AnymailInvalidAddress` | refused for good: the recipient |
| `AnymailUnsupportedFeature`, `AnymailSerializationError` | refused: our settings; sent nothing |
| status 401, 402, 403, 404 | away for good: the account, the key or the domain |
| status 429, 503 | away: too much at once, or maintenance |
| any other status of 4xx | refused: this mail or the sender, for all that one can tell |
| any other status, such as 500, 502 and 504 | unknown: it may have come after the mail was taken |
| no connection, a wrong certificate | away |
| any other, such as a connection that breaks or ends by a timeout | unknown |
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http import HTTPStatus

from admit_one.masking import harmless
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from requests import exceptions as requests_errors
from urllib3 import exceptions as urllib3_errors

from .attempt import Attempt, Ending
from .session import ServerUnavailable

ACCOUNT = {401, 402, 403, 404}
BUSY = {429, 503}
NEVER_CONNECTED = (
    requests_errors.ConnectTimeout,
    requests_errors.InvalidURL,
    requests_errors.MissingSchema,
    requests_errors.InvalidSchema,
    urllib3_errors.NewConnectionError,
    urllib3_errors.ConnectTimeoutError,
    ssl.SSLCertVerificationError,
)
LONGEST = 300
"""Characters of an error that are kept."""


def read(error: Exception) -> Attempt | None:
    """How the attempt ended; none if the error does not tell. Raises `ServerUnavailable`."""
    text = harmless(str(error))[:LONGEST]
    match error:
        case AnymailRecipientsRefused() | AnymailInvalidAddress():
            return Attempt(Ending.REFUSED, text)
        case AnymailUnsupportedFeature() | AnymailSerializationError():
            return Attempt(Ending.SENDER_REFUSED, text, kind=type(error).__name__)
        case AnymailAPIError() if error.status_code is not None:
            return _by_status(error.status_code, text)
    if any(isinstance(each, NEVER_CONNECTED) for each in _causes(error)):
        raise ServerUnavailable(text)
    return None


def _by_status(status: int, text: str) -> Attempt | None:
    if status in ACCOUNT:
        raise ServerUnavailable(text, kind=5)
    if status in BUSY:
        raise ServerUnavailable(text, kind=4)
    if status == HTTPStatus.REQUEST_TIMEOUT:
        return Attempt(Ending.DEFERRED, text)
    if status // 100 == 4:
        return Attempt(Ending.SENDER_REFUSED, text, kind=f"status {status}")
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those behind it: urllib3 keeps some as a `reason`, requests as arguments."""
    waiting: list[object] = [error]
    seen: list[BaseException] = []
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseException) and all(each is not error for error in seen):
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
