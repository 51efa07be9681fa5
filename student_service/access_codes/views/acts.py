"""What operators and their programs do about one code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from admit_one.web import StrictSerializer, StrictView, client_of, idempotency, openapi
from admit_one.web.problems import Conflict
from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from access_codes import admission, operating
from access_codes.models import AccessCode
from access_codes.operating import MailboxStopped, MailedTooOften, NoSuchCode, NotPossible
from access_codes.serializers import examples
from access_codes.serializers.acts import Reasoned, Resending, reasoned, resending
from access_codes.serializers.codes import AccessCodeAnswer, shown

from .common import ACCESS_ID, OPERATE, access_of, unstored

if TYPE_CHECKING:
    from access_codes.looking_up import Checked

DONE = "The code as it is now, masked. Done before: the same, and nothing was changed."


class CodeConflict(Conflict):
    default_code = "code_state"


class StoppedConflict(Conflict):
    default_code = "mailbox_stopped"


class TooOften(APIException):
    status_code = 429
    default_code = "mailed_too_often"

    def __init__(self, error: MailedTooOften) -> None:
        super().__init__(str(error))
        self.retry_after = str(error.seconds)


class OneCode(StrictView):
    """Does something about one code."""

    scopes: ClassVar = {"post": OPERATE}
    body: ClassVar[StrictSerializer] = reasoned
    act: ClassVar[Callable[..., AccessCode]]

    def post(self, request: Request, access_id: str) -> Response:
        given = self.body.run_validation(request.data)
        subscription_id, generation = access_of(access_id)

        def done() -> Response:
            row = _done(type(self).act, subscription_id, generation, client_of(request), given)
            return Response(shown(row, row.generation))

        return self.answer(request, done)

    def answer(self, request: Request, done: Callable[[], Response]) -> Response:  # noqa: ARG002
        with transaction.atomic():  # if the answer cannot be worded, nothing has happened
            return done()


def _done(
    act: Callable[..., AccessCode],
    subscription_id: UUID,
    generation: int,
    client: str,
    given: dict[str, Any],
) -> Checked:
    """The code afterwards. Raises 404, 409 or 429."""
    try:
        act(subscription_id, generation, by=f"client {client}", **given)
    except NoSuchCode:
        raise Http404 from None
    except MailedTooOften as error:
        raise TooOften(error) from None
    except MailboxStopped as error:
        raise StoppedConflict(str(error)) from None
    except NotPossible as error:
        raise CodeConflict(str(error)) from None
    return admission.with_state().get(pk=subscription_id)


def described(
    operation: str, body: type[StrictSerializer] = Reasoned, *problems: int, **extra: Any
) -> Callable[[Any], Any]:
    """Describes an act in OpenAPI."""
    return extend_schema_view(
        post=extend_schema(
            operation_id=operation,
            request=body,
            parameters=[*openapi.RATE_LIMIT, ACCESS_ID, *extra.get("parameters", ())],
            responses={
                200: OpenApiResponse(AccessCodeAnswer, extra.get("answer", DONE)),
                **openapi.problems(400, 401, 403, 404, 409, 413, 415, 429, *problems),
            },
            examples=examples.OF_ACTS[operation],
            extensions={"x-links": {"200": examples.links("access_id")}},
        )
    )


@unstored
@described("suspend_access_code")
class Suspending(OneCode):
    """Let a code let in nobody until it is reinstated."""

    act = operating.suspend


@unstored
@described("reinstate_access_code")
class Reinstating(OneCode):
    """Lift a suspension by an operator. One by the payment side stays."""

    act = operating.reinstate


@unstored
@described("revoke_access_code")
class Revoking(OneCode):
    """Let a code let in nobody any more, for good."""

    act = operating.revoke


@unstored
@described(
    "replace_access_code",
    answer="The code that works now, masked. If it was replaced before, nothing was changed.",
)
class Replacing(OneCode):
    """Issue another code in the place of this one, and mail it.

    The old one lets in nobody any more. Uses, terms and suspensions stay as they are.
    """

    act = operating.replace


@unstored
@described(
    "resend_access_code",
    Resending,
    410,
    422,
    parameters=[openapi.IDEMPOTENCY_KEY, openapi.replayed(200)],
    answer="The code, masked. Its mail is written, and will be sent.",
)
class Resend(OneCode):
    """Mail the same code again, also if a mail with it was sent before.

    Three times in 24 hours at most: then the problem `mailed_too_often` says until when.
    Refused with `mailbox_stopped` if a mail to its mailbox bounced or was reported as spam.
    To a corrected address: then mails that wait for another mailbox are not sent any more.
    """

    body = resending
    act = operating.resend

    def answer(self, request: Request, done: Callable[[], Response]) -> Response:
        return idempotency.once(request, done)


ACTS: dict[str, type[OneCode]] = {
    "suspend": Suspending,
    "reinstate": Reinstating,
    "revoke": Revoking,
    "replace": Replacing,
    "resend": Resend,
}
"""By the last part of their paths."""
