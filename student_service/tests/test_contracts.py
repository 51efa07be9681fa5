"""What this service was promised, and what it promises: read from the golden messages."""

from __future__ import annotations

import json

import jsonschema
import pytest
from access_codes.mails import sending
from access_codes.models import CODE_PURPOSE, AccessCode
from admit_one.contract.schemas import golden, schema_path
from admit_one.messaging.inbox import Result
from admit_one.messaging.testing import deliver, published
from admit_one.sealing import cipher

from tests.smtp_server import Mailbox

pytestmark = pytest.mark.django_db


def test_it_handles_the_golden_user_subscribed() -> None:
    (outcome,) = deliver(golden("user_subscribed"))

    asked = json.loads(golden("user_subscribed"))
    row = AccessCode.objects.get()
    assert outcome.result == Result.HANDLED
    assert str(row.subscription_id) == asked["data"]["subscription_id"]
    assert (row.user_id, row.plan) == (asked["data"]["user_id"], asked["data"]["plan"])
    assert row.mails.get().address == asked["data"]["email"]


def test_its_reply_has_the_form_of_the_golden_access_code_created() -> None:
    deliver(golden("user_subscribed"))

    (reply,) = published()
    wire, promised = json.loads(reply.to_json()), json.loads(golden("access_code_created"))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid", "causationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, json.loads(schema_path("access_code_created").read_text()))


def test_it_tells_of_a_given_up_mail_in_the_form_of_the_golden_access_code_undeliverable(
    mailbox: Mailbox,
) -> None:
    deliver(golden("user_subscribed"))
    mailbox.answer_rcpt["ada@example.com"] = "550 no such user"
    sending.send_due_mails(lambda: True)

    told = published()[-1]
    wire, promised = json.loads(told.to_json()), json.loads(golden("access_code_undeliverable"))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, json.loads(schema_path("access_code_undeliverable").read_text()))


def test_it_answers_the_golden_subscription_cancelled_in_the_form_of_access_code_revoked() -> None:
    deliver(golden("user_subscribed"))
    deliver(golden("subscription_cancelled"))

    wire = json.loads(published()[-1].to_json())
    promised = json.loads(golden("access_code_revoked"))
    assert wire.keys() == promised.keys()
    assert wire["data"].keys() == promised["data"].keys()
    for name in ("source", "type", "subject", "correlationid", "causationid"):
        assert wire[name] == promised[name]
    jsonschema.validate(wire, json.loads(schema_path("access_code_revoked").read_text()))
    assert AccessCode.objects.get().is_revoked


def test_it_answers_the_golden_access_digest_requested_in_the_form_of_the_golden_digest() -> None:
    promised = json.loads(golden("access_digest"))
    deliver(golden("user_subscribed"))
    AccessCode.objects.update(sealed_code=cipher.seal(b"7K3M-Q9TX-2WBD-H5RN", CODE_PURPOSE))
    (outcome,) = deliver(golden("access_digest_requested"))

    wire = json.loads(published()[-1].to_json())
    assert outcome.result == Result.HANDLED
    assert wire.keys() == promised.keys()
    assert wire["data"] == promised["data"] | {"next": None}
    jsonschema.validate(wire, json.loads(schema_path("access_digest").read_text()))


def test_it_answers_the_golden_access_grants_requested_in_the_form_of_the_golden_grant() -> None:
    promised = json.loads(golden("access_grant_reported"))
    deliver(golden("access_code_restored"))
    deliver(golden("access_grants_requested"))

    known, told = published()
    for reply in (known, told):
        wire = json.loads(reply.to_json())
        assert wire.keys() == promised.keys()
        assert wire["data"] == promised["data"]
    assert told.causationid == promised["causationid"]
    jsonschema.validate(wire, json.loads(schema_path("access_grant_reported").read_text()))
