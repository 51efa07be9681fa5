"""Whether a code lets in: what platforms ask."""

from __future__ import annotations

from typing import ClassVar

from admit_one.web import StrictView, client_of, etags, idempotency, openapi
from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access_codes import admission, codes, metrics, redeeming
from access_codes.redeeming import Question
from access_codes.serializers import examples
from access_codes.serializers.questions import (
    EXAMPLES,
    HOLDS,
    AdmissionAnswer,
    RedeemQuestion,
    ValidateQuestion,
    answered,
    redeem_question,
    validate_question,
)

from .common import ACCESS_ID, REDEEM, access_of, unstored

ANSWER = OpenApiResponse(
    AdmissionAnswer,
    "Whether it lets in, and why not: also an answer to a code that does not exist.",
    EXAMPLES,
)


@unstored
class Validation(StrictView):
    scopes: ClassVar = {"post": REDEEM}

    @extend_schema(
        operation_id="validate_access_code",
        request=ValidateQuestion,
        parameters=[*openapi.RATE_LIMIT],
        responses={200: ANSWER, **openapi.problems(400, 401, 403, 413, 415, 429)},
        examples=[examples.QUESTION],
    )
    def post(self, request: Request) -> Response:
        """Ask whether a redemption of a code would be counted. Changes nothing."""
        question = Question(**validate_question.run_validation(request.data))
        return _counted("validate", Response(answered(redeeming.validate(question))))


@unstored
class Redemption(StrictView):
    scopes: ClassVar = {"post": REDEEM}

    @extend_schema(
        operation_id="redeem_access_code",
        request=RedeemQuestion,
        parameters=[*openapi.RATE_LIMIT, openapi.IDEMPOTENCY_KEY, openapi.replayed(200)],
        responses={200: ANSWER, **openapi.problems(400, 401, 403, 410, 413, 415, 422, 429)},
        examples=[examples.USE],
    )
    def post(self, request: Request) -> Response:
        """Count a use of a code, if it lets in.

        Send a `reference` or an `Idempotency-Key`, so that you may repeat a request that got no
        answer: with the same one, it is the same use. A repeated `reference` is answered with how
        things are now, a repeated `Idempotency-Key` with the first answer, word for word.
        """
        question = Question(**redeem_question.run_validation(request.data))
        _refuse_the_code_as_a_name(question, request)

        def redeem() -> Response:
            client = client_of(request)
            return Response(redeeming.redeem_and(question, client=client, word=answered))

        return _counted("redeem", idempotency.once(request, redeem, is_transaction=True))


@unstored
class Access(StrictView):
    scopes: ClassVar = {"get": REDEEM}

    @extend_schema(
        operation_id="show_access",
        parameters=[*openapi.RATE_LIMIT, ACCESS_ID, *openapi.KNOWN],
        responses={
            200: OpenApiResponse(
                AdmissionAnswer,
                "Whether the admission still holds. It also does if the code is used up.",
                [example for example in EXAMPLES if example.name in HOLDS],
            ),
            **openapi.NOT_MODIFIED,
            **openapi.problems(400, 401, 403, 404, 429),
        },
    )
    def get(self, request: Request, access_id: str) -> HttpResponse:
        """Ask whether somebody who was let in by a code may stay. Counts nothing.

        A 304 says that all is as before, also by the clock.
        """
        still = admission.of_access(*access_of(access_id))
        if still is None:
            raise Http404
        metrics.ANSWERS.labels("access", still.reason.value).inc()
        return etags.answer(request, answered(still), {})


def _refuse_the_code_as_a_name(question: Question, request: Request) -> None:
    """A reference and an Idempotency-Key are stored as they are: the code is not to be in them."""
    key = request.headers.get("Idempotency-Key", "")
    for name, given in (("reference", question.reference or ""), ("Idempotency-Key", key)):
        if codes.is_in(question.code, given):
            raise ValidationError({name: ["expected your own name of this use, without the code"]})


def _counted(question: str, response: Response) -> Response:
    """Count the answer; call it after the commit."""
    metrics.ANSWERS.labels(question, response.data["reason"]).inc()
    return response
