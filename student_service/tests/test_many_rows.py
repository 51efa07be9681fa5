"""What commands, loops, events and the API ask reads few rows after 200,000 codes and mails."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from io import StringIO
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from access_codes import codes, ending, expiring, metrics, persons
from access_codes.listing import LISTED
from access_codes.mails import stops
from access_codes.models import AccessCode, MailIntent
from access_codes.reconciliation import digests
from admit_one.erasure.definition import Person
from admit_one.messaging.why import timeline
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone
from shared_contracts.events import AccessChecksumRequested, AccessDigestRequested, Position
from uuid_utils.compat import uuid7

from tests.api import Api
from tools.system.plans import ROWS, TIMEOUT, fill, large_reads, the_uuid, uuid_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(TIMEOUT),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="only PostgreSQL says how many rows it reads"
    ),
]

PAID, MAIL = 1, 2
MIDDLE = ROWS // 2
AGED = f"now() - ({ROWS} - n) * interval '40 days' / {ROWS}"
UNUSUAL = ("unknown", "failed", "suppressed", "withdrawn", "pending", "sending", "withheld")


def make() -> None:
    fill(
        "access_codes_accesscode",
        {
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "sealed_user_id": "'\\x00'::bytea",
            "user_hash": "decode(md5('user-' || n), 'hex')",
            "plan": "CASE n % 1000 WHEN 0 THEN 'silver' ELSE 'gold' END",
            "lookup_hash": "decode(md5(n::text), 'hex')",
            "sealed_code": "'\\x00'::bytea",
            "issued_at": AGED,
            "amount": "4900",
            "currency": "'EUR'",
            "occurred_at": AGED,
        },
    )
    fill(
        "access_codes_terms",
        {
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "version": "1",
            "valid_from": "CASE n % 3 WHEN 0 THEN now() - interval '1 day' END",
            "valid_until": "CASE n % 3 WHEN 0 THEN now() - interval '1 day' "
            "WHEN 1 THEN now() + interval '1 day' END",
            "end_reported": "true",  # or are not reached yet
            "uses": "CASE n % 3 WHEN 2 THEN 5 END",
            "expiry_noted": "true",  # all users have been warned, or need not be
        },
    )
    fill(
        "access_codes_revocation",
        {"subscription_id": f"({uuid_of(PAID)})::uuid", "revoked_at": AGED},
        rows=ROWS // 2,
    )
    fill(
        "access_codes_suspension",
        {
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "maker": "'operator'",
            "since": AGED,
        },
        rows=ROWS // 2,
    )
    fill(
        "access_codes_replacedcode",
        {
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "generation": "1",
            "lookup_hash": "decode(md5('replaced' || n::text), 'hex')",
            "replaced_at": AGED,
        },
    )
    fill(
        "access_codes_redemption",
        {
            "id": f"({uuid_of(MAIL)})::uuid",
            "subscription_id": f"({uuid_of(PAID)})::uuid",
            "generation": "1",
            "client": "'platform'",
            "reference": "'order ' || n",
            "redeemed_at": AGED,
        },
    )
    fill(
        "acts_act",
        {
            "area": "'access_codes'",
            "action": "'resend'",
            "target": f"{uuid_of(PAID)} || '.1'",
            '"group"': "''",
            "subject": "''",
            "facts": "'{}'",
            "by": "'ada'",
            "reason": "''",
            "at": AGED,
            "result": "'done'",
            "detail": "''",
        },
    )
    state = "".join(f" WHEN n % 1000 = {n} THEN '{state}'" for n, state in enumerate(UNUSUAL))
    fill(
        "access_codes_mailintent",
        {
            "id": f"({uuid_of(MAIL)})::uuid",
            "access_code_id": f"({uuid_of(PAID)})::uuid",
            "message_id": "'<' || n || '@admit-one.example>'",
            "recipient": "'\\x00'::bytea",
            "recipient_hash": "decode(md5((n % 100000)::text), 'hex')",
            "state": f"CASE{state} ELSE 'sent' END",
            "created_at": AGED,
            "next_attempt_at": "CASE WHEN n % 1000 IN (4, 5) THEN now() END",
            "tried_at": AGED,
            "sent_at": AGED,
            "provider_id": "'provider ' || n",
            "reported": "CASE WHEN n % 10000 = 7 THEN 'bounced' ELSE 'delivered' END",
            "reported_at": AGED,
        },
    )


def take() -> None:
    with transaction.atomic():
        MailIntent.objects.take(8, cap=20)


def a_page(event: type[AccessChecksumRequested | AccessDigestRequested]) -> Any:
    """A request for a page in the middle."""
    at = AccessCode.objects.get(pk=the_uuid(PAID, MIDDLE))
    now = timezone.now()
    return event(
        run_id=uuid7(),
        since=now - timedelta(days=90),
        until=now,
        after=Position(occurred_at=at.occurred_at, subscription_id=at.pk),
        limit=1_000,
    )


def mails(*arguments: str) -> None:
    call_command("mails", *arguments, stdout=StringIO())


QUESTIONS: dict[str, Callable[[], Any]] = {
    "why": partial(timeline.of, the_uuid(PAID, MIDDLE)),
    "mails list": partial(mails, "list"),
    **{
        f"mails list --state {state}": partial(mails, "list", "--state", state)
        for state in MailIntent.State.values
    },
    "metrics": lambda: list(metrics.open_mails()),
    "mails list --stopped": partial(mails, "list", "--stopped"),
    "whether a mailbox is stopped": partial(stops.of_address, "ada@example.com"),
    "the mail of a report": lambda: list(MailIntent.objects.filter(provider_id="provider 7")),
    "the next mail": take,
    "whether a mail is due": MailIntent.objects.due().exists,
    "codes that expire soon": expiring.remind_due,
    "ends that are to be reported": ending.report_ended,
    "a page of digests": lambda: digests._page(a_page(AccessDigestRequested)),
    "a checksum of a page": lambda: digests._checksum(a_page(AccessChecksumRequested)),
    "whose a code is": partial(codes.owners, ["7K3M-Q9TX-2WBD-H5RN"]),
    "a person": lambda: persons.find(Person([f"user-{MIDDLE}"], ["ada@example.com"])),
    "a person's data": lambda: [list(r) for r in persons.rows([the_uuid(PAID, MIDDLE)])],
}


def questions(platform: Api) -> dict[str, Callable[[], Any]]:
    """What the API is asked about a code in the middle, and about all of them."""
    lists = {
        "all": {},
        "user": {"user_id": f"user-{MIDDLE}"},
        "plan": {"plan": "gold"},
        "rare plan": {"plan": "silver"},
        "address": {"email": "ada@example.com"},
        "a user in a state": {"user_id": f"user-{MIDDLE}", "state": "issued"},
        **{state.value: {"state": state.value} for state in LISTED},
        **{f"silver, {state.value}": {"state": state.value, "plan": "silver"} for state in LISTED},
    }
    access = f"{the_uuid(PAID, MIDDLE + 1)}.1"  # neither revoked nor suspended
    after = base64.urlsafe_b64encode(UUID(the_uuid(PAID, MIDDLE)).bytes).decode().rstrip("=")
    known = {"code": "7K3M-Q9TX-2WBD-H5RN"}
    return {
        **{
            f"a list of codes: {name}{', further' * bool(cursor)}": partial(
                platform.get, f"/v1/access-codes?{urlencode({**query, **cursor})}"
            )
            for name, query in lists.items()
            for cursor in ({}, {"cursor": after})
        },
        "validate": partial(platform.validate, **known),
        "redeem": partial(platform.redeem, **known, reference="order-7", key="k"),
        "an access": partial(platform.get, f"/v1/access/{access}"),
        "a code": partial(platform.get, f"/v1/access-codes/{access}"),
        "resend": partial(platform.act, "resend", access, email="ada@example.com"),
    }


def test_no_question_reads_more_for_rows_that_are_done(platform: Api) -> None:
    make()

    assert large_reads({**QUESTIONS, **questions(platform)}) == {}
