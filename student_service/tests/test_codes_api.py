"""Operators and their programs list codes, see one, and do something about it over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from access_codes import admission, listing, operating, redeeming
from access_codes.admission import Reason
from access_codes.listing import LISTED, Filters, State
from access_codes.mails import sending
from access_codes.models import AccessCode, MailIntent, Revocation
from access_codes.redeeming import Question
from admit_one.acts.models import Act
from django.db.models import F
from django.utils import timezone
from jsonschema import Draft202012Validator

from tests.api import Api
from tests.mails.smtp_server import Mailbox
from tests.mails.steps import always
from tests.test_admission import DAY, PREPARE, issued, set_terms

MASKED = "****-****-****-"
IN_STATE = {
    State.ISSUED: Reason.OK,
    State.REVOKED: Reason.REVOKED,
    State.SUSPENDED: Reason.SUSPENDED,
    State.NOT_YET_VALID: Reason.NOT_YET_VALID,
    State.EXPIRED: Reason.EXPIRED,
    State.USED_UP: Reason.USED_UP,
}


def walk(platform: Api, **query: Any) -> list[str]:
    """The access ids on all pages of a list."""
    following: str | None = f"/v1/access-codes?{urlencode(query)}"
    ids = []
    while following:
        page = platform.get(following).json()
        ids += [row["access_id"] for row in page["results"]]
        following = page["next"]
    return ids


def test_one_code_is_shown_whole_and_a_list_masks_it(platform: Api) -> None:
    row = issued()
    alone = platform.get(f"/v1/access-codes/{row.access_id}").json()
    [listed] = platform.get("/v1/access-codes").json()["results"]

    assert (alone["access_code"], alone["state"], alone["replaced_by"]) == (
        row.code,
        "issued",
        None,
    )
    assert listed == alone | {"access_code": f"{MASKED}{row.code[-4:]}"}


def test_a_key_sees_and_does_what_its_scopes_allow(platform: Api) -> None:
    row = issued()
    course, program = Api("course", "codes:redeem"), Api("program", "codes:operate")
    path = f"/v1/access-codes/{row.access_id}"
    refused = [
        course.get(path),
        course.get("/v1/access-codes"),
        course.act("suspend", row.access_id),
        program.get(f"/v1/access/{row.access_id}"),
        program.post("/v1/access-codes/redeem", {"code": row.code}),
    ]

    assert [answer.json()["code"] for answer in refused] == ["missing_scope"] * len(refused)
    assert program.get(path).json()["access_code"] == f"{MASKED}{row.code[-4:]}"
    assert course.validate(row.code)["valid"] is True


def test_a_code_that_was_replaced_names_the_one_that_works(platform: Api) -> None:
    row = issued()
    platform.act("replace", row.access_id)
    shown = platform.get(f"/v1/access-codes/{row.pk}.1").json()

    assert (shown["state"], shown["access_code"]) == ("replaced", None)
    assert shown["replaced_by"] == f"{row.pk}.2"


def test_a_code_whose_key_is_gone_is_null_with_the_reason(platform: Api) -> None:
    row = issued()
    AccessCode.objects.update(sealed_code=b"\x84gone" + bytes(40))
    shown = platform.get(f"/v1/access-codes/{row.access_id}").json()

    assert shown["access_code"] is None
    assert "cannot be decrypted" in shown["access_code_failure"]["reason"]


def test_answers_are_what_the_description_says(platform: Api) -> None:
    row = issued()
    description = json.loads(platform.get("/v1/schema").content)
    answers = {
        "AccessCodeAnswer": platform.get(f"/v1/access-codes/{row.access_id}").json(),
        "AccessCodePage": platform.get("/v1/access-codes").json(),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", **description}
        Draft202012Validator(schema).validate(answer)


@pytest.mark.parametrize("state", LISTED)
def test_the_list_of_a_state_holds_the_codes_that_are_shown_in_it(
    platform: Api, state: State
) -> None:
    for number, reason in enumerate(IN_STATE.values()):
        for _ in range(2):
            PREPARE[reason](issued(user_id=f"user-{number}"))
    listed = walk(platform, state=state, limit=1)
    everything = admission.with_state().order_by("-pk")

    assert len(listed) == 2
    assert listed == [row.access_id for row in everything if listing.state_of(row) == state]


def test_the_first_state_of_several_is_the_one_that_lists_and_answers_give(platform: Api) -> None:
    past, future = timezone.now() - DAY, timezone.now() + DAY
    for row in (issued(user_id=f"user-{n}") for n in range(4)):
        set_terms(row, valid_from=future, valid_until=past, uses=1)
        row.uses = 1
        row.save()
    rows = list(AccessCode.objects.order_by("pk"))
    for row in rows[:3]:
        operating.suspend(row.pk, 1, by="ada", reason="a test")
    for row in rows[:2]:
        operating.revoke(row.pk, 1, by="ada", reason="a test")
    terms = rows[3].terms
    terms.valid_from = None
    terms.save()

    for row, state in zip(rows, ("revoked", "revoked", "suspended", "expired"), strict=True):
        assert redeeming.validate(Question(row.code)).reason == state
        assert row.access_id in walk(platform, state=state)


@pytest.mark.parametrize("more", [{}, {"state": "issued"}, {"plan": "gold", "state": "issued"}])
def test_codes_are_listed_by_user_plan_and_address(platform: Api, more: dict[str, str]) -> None:
    wanted = issued(user_id="grace", plan="gold", email="grace@example.com")
    issued(user_id="other", plan="silver", email="other@example.com")

    for name, value in {
        "user_id": "grace", "plan": "gold", "email": "GRACE+tag@example.com"
    }.items():  # fmt: skip
        assert walk(platform, **(more | {name: value})) == [wanted.access_id]
    assert walk(platform, **(more | {"user_id": "grace", "plan": "silver"})) == []


def test_pages_list_every_code_once_newest_first(platform: Api) -> None:
    made = [issued(user_id=f"user-{number}") for number in range(5)]

    newest_first = sorted((row.access_id for row in made), reverse=True)
    assert walk(platform, limit=2) == newest_first


def test_a_page_looks_at_a_bounded_number_of_codes(
    platform: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK", 2)
    monkeypatch.setattr(listing, "CHUNKS", 1)
    for number in range(5):
        PREPARE[Reason.REVOKED](issued(user_id=f"user-{number}"))
    wanted = [AccessCode.objects.order_by("pk")[0]]
    Revocation.objects.filter(pk=wanted[0].pk).delete()
    first, _ = listing.page(Filters(state=State.ISSUED), before=None, limit=50)

    assert first == []
    assert walk(platform, state="issued") == [row.access_id for row in wanted]
    assert len(walk(platform, state="revoked", limit=1)) == 4


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=ten", "limit"),
        ("cursor=garbage", "cursor"),
        ("cursor=AAAAAAAAAAAAAAAAAAAAAB", "cursor"),
        ("state=replaced", "state"),
        ("state=", "state"),
        ("user_id=", "user_id"),
        ("user_id=%00", "user_id"),
        ("plan=" + "x" * 65, "plan"),
        ("email=ada", "email"),
        ("users=ada", "users"),
        ("plan=a&plan=b", "plan"),
    ],
)
def test_a_wrong_filter_is_refused_by_name(platform: Api, query: str, field: str) -> None:
    response = platform.get(f"/v1/access-codes?{query}")

    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


def test_a_wrong_limit_and_a_wrong_filter_are_named_at_once(platform: Api) -> None:
    response = platform.get("/v1/access-codes?limit=0&state=replaced")

    faults = {fault["field"] for fault in response.json()["errors"]}
    assert (response.status_code, faults) == (400, {"limit", "state"})


@pytest.mark.parametrize(
    ("name", "state"),
    [("suspend", "suspended"), ("reinstate", "issued"), ("revoke", "revoked")],
)
def test_an_act_answers_the_code_and_is_on_record_once(
    platform: Api, name: str, state: str
) -> None:
    row = issued()
    if name == "reinstate":
        operating.suspend(row.pk, 1, by="ada", reason="a test")
    first, again = (platform.act(name, row.access_id, reason="she asked for it") for _ in range(2))

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["state"] == state
    [act] = Act.objects.filter(action=name)
    assert (act.by, act.reason, act.target) == (
        "client platform",
        "she asked for it",
        row.access_id,
    )


def test_a_replacement_answers_the_new_code_masked_and_again_the_same(platform: Api) -> None:
    row = issued()
    first, again = (platform.act("replace", f"{row.pk}.1").json() for _ in range(2))

    row.refresh_from_db()
    assert first == again
    assert (first["access_id"], first["access_code"]) == (f"{row.pk}.2", f"{MASKED}{row.code[-4:]}")


def test_what_the_state_of_a_code_does_not_allow_is_a_conflict(platform: Api) -> None:
    row = issued()
    platform.act("replace", f"{row.pk}.1")
    replaced = platform.act("suspend", f"{row.pk}.1")
    platform.act("revoke", f"{row.pk}.2")
    answers = [replaced, *(platform.act(name, f"{row.pk}.2") for name in ("replace", "resend"))]

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(409, "code_state")] * 3
    assert f"{row.pk}.2" in replaced.json()["detail"]


@pytest.mark.parametrize("name", ["suspend", "reinstate", "revoke", "replace", "resend"])
def test_nothing_is_done_without_a_reason_or_about_a_code_that_never_was(
    platform: Api, name: str
) -> None:
    row = issued()
    path = f"/v1/access-codes/{row.access_id}/{name}"
    for body in ({}, {"reason": ""}, {"reason": "  "}, {"reason": 1}, {"reason": "a\nb"}):
        assert platform.post(path, body).status_code == 400
    assert platform.act(name, f"{row.pk}.2").status_code == 404
    assert not Act.objects.exists()


def test_a_code_is_mailed_again_though_it_was_sent(platform: Api, mailbox: Mailbox) -> None:
    row = issued(email="ada@example.com")
    sending.send_due_mails(always)
    answer = platform.act("resend", row.access_id)
    sending.send_due_mails(always)

    assert answer.json()["access_code"] == f"{MASKED}{row.code[-4:]}"
    assert mailbox.recipients == ["ada@example.com"] * 2
    assert all(row.code in mail.as_string() for mail in mailbox.mails)


def test_a_corrected_address_gets_this_mail_and_later_ones_and_no_other_does(
    platform: Api, mailbox: Mailbox
) -> None:
    row = issued(email="adda@example.com")
    platform.act("resend", row.access_id, email="ada@example.com")
    platform.act("resend", row.access_id)
    platform.act("replace", row.access_id)
    sending.send_due_mails(always)

    assert mailbox.recipients == ["ada@example.com"] * 3
    states = MailIntent.objects.order_by("created_at", "id").values_list("state", flat=True)
    assert list(states) == ["withdrawn", "sent", "sent", "sent"]


def test_the_latest_mail_is_the_latest_by_the_databases_clock(platform: Api) -> None:
    row = issued(email="adda@example.com")
    ahead = "ffffffff-ffff-7fff-bfff-ffffffffffff"
    MailIntent.objects.update(id=ahead, state="sent")  # written by a machine whose clock is ahead
    platform.act("resend", row.access_id, email="ada@example.com")
    operating.replace(row.pk, 1, by="ada", reason="a test")

    latest = MailIntent.objects.exclude(pk=ahead).order_by("id")
    assert [mail.address for mail in latest] == ["ada@example.com"] * 2


def test_three_times_a_day_is_the_most_and_the_answer_says_until_when(platform: Api) -> None:
    row = issued()
    for _ in range(3):
        assert platform.act("resend", row.access_id).status_code == 200
    refused = platform.act("resend", row.access_id)
    Act.objects.update(at=F("at") - timedelta(hours=24))
    allowed = platform.act("resend", row.access_id)

    assert (refused.status_code, refused.json()["code"]) == (429, "mailed_too_often")
    assert 86_000 < int(refused["Retry-After"]) <= 86_400
    assert f"{timezone.now() + DAY:%Y-%m-%dT%H:}" in refused.json()["detail"]
    assert allowed.status_code == 200
    assert MailIntent.objects.count() == 5


def test_a_repeated_request_to_mail_again_writes_one_mail(platform: Api) -> None:
    row = issued()
    path = f"/v1/access-codes/{row.access_id}/resend"
    body = {"reason": "lost", "email": "ada@example.org"}
    first, again = (platform.post(path, body, Idempotency_Key="k") for _ in range(2))

    assert first.json() == again.json()
    assert MailIntent.objects.count() == 2
    act = Act.objects.get(action="resend")
    assert act.facts["corrected"] is True
    assert "ada@example.org" not in str(act.facts)
