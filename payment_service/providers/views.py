"""The address to which a provider sends its events. Its signature is the authentication."""

from __future__ import annotations

from http import HTTPStatus

from admit_one.contract.errors import Malformed
from admit_one.logs import EventLogger
from admit_one.web import problems
from admit_one.web.limits import counting
from django.conf import settings
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from . import metrics
from .provider import Forged, OtherVersion, Provider
from .receiving import Reused, receive
from .registry import PROVIDERS

logger = EventLogger(__name__)


class InvalidSignature(APIException):
    status_code = HTTPStatus.BAD_REQUEST
    default_code = "invalid_signature"


class UnsupportedVersion(APIException):
    status_code = HTTPStatus.BAD_REQUEST
    default_code = "unsupported_version"


class EventIdReused(APIException):
    status_code = HTTPStatus.CONFLICT
    default_code = "event_id_reused"


class ProviderEvents(APIView):
    """Takes the events of one provider.

    It is not in the API's description: whoever generates a client of that is not the provider.
    """

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def post(self, request: Request, name: str) -> Response:
        """200 once the event is committed, whatever became of it: sent again, it would be the same.

        Only requests that are not the provider's count against the limit of their address, so the
        provider is never refused for them.
        """
        provider = PROVIDERS.get(name)
        if provider is None or not provider.is_on():
            raise NotFound("there is no payment provider at this address, or it is switched off")
        body = _body_of(request)
        try:
            provider.verify(body, request.headers)
            result = receive(provider, body)
        except Forged as error:
            metrics.REFUSED.labels(name, "signature").inc()
            counting.count_failure(request)
            raise InvalidSignature(str(error)) from None
        except Malformed as error:
            metrics.REFUSED.labels(name, "malformed").inc()
            raise ParseError(str(error)) from None
        except OtherVersion as error:
            _refuse(provider, "version", str(error))
            raise UnsupportedVersion(str(error)) from None
        except Reused as error:
            _refuse(provider, "reused", str(error))
            raise EventIdReused(str(error)) from None
        problems.announcer.over("requests_answered", "requests are answered again")
        return Response({"result": result})


def _body_of(request: Request) -> bytes:
    """The bytes as they were sent. Raises 413 for too many."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = request.stream.read(limit + 1) if request.stream is not None else b""
    if len(body) > limit:
        raise problems.TooLarge(f"expected a body of at most {limit:,} bytes")
    return body


def _refuse(provider: Provider, reason: str, error: str) -> None:
    """Report what is signed and yet refused: the provider sends it again, and somebody must act."""
    metrics.REFUSED.labels(provider.name, reason).inc()
    logger.error(
        "provider_event_refused",
        "refused a signed event of {provider}: {error}",
        provider=provider.name,
        error=error,
    )
