"""The pages for operators: what they see of set-aside messages, and what they may do about them."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Transient
from admit_one.database import outage
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import bulk_replay, keeping
from admit_one.messaging.set_aside.groups import short
from admit_one.messaging.set_aside.replay import replay
from admit_one.messaging.testing import an_envelope
from admit_one.operators import orders
from admit_one.sealing import canaries
from django.contrib.auth.models import Permission, User
from django.db import OperationalError
from django.db.models.functions import Now
from shared_contracts.events import UserSubscribed

from tests.models import Effect
from tests.set_aside_rows import fail, keep, keep_unreadable, states

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/messaging/setaside/"


@pytest.fixture
def log_in(client):
    """Log somebody in who has these permissions; an operator has both."""

    def run(*permissions: str):
        user = User.objects.create_user("ada", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")

    return run


@pytest.fixture
def operator(log_in, client):
    log_in("view_setaside", "work_on_setaside", "view_act")
    return client


def text(answer) -> str:
    """What stands on a page, as one line."""
    assert answer.status_code == 200, answer.status_code
    body = re.sub(r"(?s)<(style|script).*?</\1>", "", answer.content.decode())
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def order(client, verb, choice, **data):
    return text(client.post(f"{LIST}order/{verb}/?{choice}", data))


# who may do what


def test_visitors_must_log_in(client):
    keep()

    for page in (LIST, f"{LIST}1/change/", f"{LIST}order/replay/?all=1"):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (
            302,
            f"/login/?next={page.replace('?', '%3F').replace('=', '%3D')}",
        )


def test_a_viewer_sees_no_actions_and_is_refused_them(client, log_in):
    row = keep()
    log_in("view_setaside")

    seen = text(client.get(LIST)) + text(client.get(f"{LIST}{row.id}/change/"))

    assert "such as" in seen
    assert "Replay" not in seen
    assert "Discard" not in seen
    assert client.get(f"{LIST}order/replay/?all=1").status_code == 403
    assert client.post(f"{LIST}order/replay/?all=1").status_code == 403
    assert (
        client.post(LIST, {"action": "replay_chosen", "_selected_action": row.id}).status_code
        != 302
    )
    assert Act.objects.count() == 0


def test_an_actor_without_view_permission_can_do_nothing(client, log_in):
    keep()
    log_in("work_on_setaside")

    assert client.get(LIST).status_code == 403
    assert client.post(f"{LIST}order/discard/?all=1", {"reason": "x"}).status_code == 403
    assert states() == ["dead"]


def test_without_view_permission_nothing_shows(client, log_in):
    row = keep()
    log_in()

    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}{row.id}/change/").status_code == 403


@pytest.mark.parametrize("verb", ["add/", "{}/delete/", "{}/history/"])
def test_nobody_adds_or_deletes_rows_by_hand(operator, verb):
    row = keep()

    operator.post(f"{LIST}{verb.format(row.id)}", {"post": "yes", "state": "replayed"})

    assert states() == ["dead"]
    assert operator.post(f"{LIST}{row.id}/change/", {"state": "replayed"}).status_code == 200
    assert states() == ["dead"]


def test_an_order_requires_the_token_of_its_page(operator):
    operator.handler.enforce_csrf_checks = True
    keep()

    assert operator.post(f"{LIST}order/replay/?all=1").status_code == 403
    assert states() == ["dead"]


# list and show


def test_an_empty_list_says_so(operator):
    assert "Nothing is set aside: every message was handled." in text(operator.get(LIST))


def test_the_list_shows_groups_and_links_to_their_messages(operator):
    row = keep(3, error=Transient("no room for ada@example.com"), dead=False)
    keep_unreadable()

    page = operator.get(LIST)

    assert f"{short('Malformed')} dead 1 –" in text(page)
    assert f"{short('Transient')} retrying 3 –" in text(page)
    assert f"such as {row.id} , user_subscribed: no room for a…@e….com" in text(page)
    [messages] = re.findall(r'href="(\?state__exact=retrying[^"]+)"', page.content.decode())
    assert "3 set-aside messages" in text(operator.get(LIST + unescape(messages)))


@pytest.mark.parametrize("word", ["event_id", "subject"])
def test_search_finds_a_message_by_event_and_subscription(operator, word):
    row = keep()
    keep(2)

    assert "1 result" in text(operator.get(LIST, {"q": getattr(row, word)}))


def test_one_message_shows_everything_except_its_body_and_addresses(operator, handle):
    row = keep(error=Transient("no room for ada@example.com <b>now</b>"), suspect=True)
    handle(fail)
    order(operator, "replay", f"ids={row.id}", reason="release 7")

    answer = operator.get(f"{LIST}{row.id}/change/")

    assert "dead (may have ended its consumer, came back, replayed 1 x)" in text(answer)
    assert f"user_subscribed {row.event_id} from /payment_service" in text(answer)
    assert "Transient: no room for a…@e….com" in text(answer)
    assert "replay by ada (admin), because: release 7: failed: no such plan" in text(answer)
    assert "ValueError: no such plan" in text(answer)
    assert b"ada@example.com" not in answer.content
    assert b"<b>now" not in answer.content


def test_an_address_sent_as_an_id_never_shows(operator):
    body = an_envelope(UserSubscribed).to_json().decode()
    identity = json.loads(body)["id"]
    message = Received.read(body.replace(identity, "eve@example.com").encode(), queue="q")
    keeping.keep(message, Transient("later"), dead=True)
    row = SetAside.objects.get()
    order(operator, "discard", f"ids={row.id}", reason="a test")
    act = Act.objects.get()

    acts = "/acts/act/"
    pages = [LIST, f"{LIST}{row.id}/change/", f"{LIST}{row.id}/history/"]
    pages += [acts, f"{acts}{act.id}/change/", f"{acts}{act.id}/history/"]
    assert row.event_id == "eve@example.com"
    assert [page for page in pages if b"eve@example.com" in operator.get(page).content] == []


@pytest.mark.parametrize(
    "question", ["body__contains=x", "reason__regex=(", "state__exact=%00", "headers__has_key=a"]
)
def test_a_list_accepts_only_the_filters_it_offers(operator, question):
    keep()

    assert operator.get(f"{LIST}?{question}").status_code == 400


@pytest.mark.parametrize("page", [LIST, "/acts/act/"])
def test_every_filter_that_a_list_offers_works(operator, page):
    row = keep()
    order(operator, "replay", f"ids={row.id}")
    keep()
    keep_unreadable()
    order(operator, "discard", "all=1", reason="a test")

    offered = set(re.findall(r'href="(\?[^"]+)"', operator.get(page).content.decode()))

    assert len(offered) > 5
    assert [
        link for link in offered if operator.get(page + unescape(link)).status_code != 200
    ] == []


def test_an_unknown_number_is_not_found(operator):
    assert operator.get(f"{LIST}99999/change/").status_code == 404
    assert "no message 99999" in text(operator.get(f"{LIST}order/replay/?ids=99999"))


# orders


def test_a_rehearsal_shows_the_outcome_and_changes_nothing(operator, handle):
    keep(5)
    handle(fail)
    keep_unreadable()

    said = order(operator, "replay", "all=1", rehearse="yes")

    assert "6 of 6 messages tried and rolled back: nothing has changed" in said
    assert "5 would fail again (ValueError in set_aside_rows.fail)" in said
    assert states() == ["dead"] * 6
    assert Act.objects.count() == 0


def test_a_rehearsal_that_runs_out_of_time_says_so(operator, monkeypatch):
    keep(5)
    monkeypatch.setattr(orders, "PATIENCE", -1.0)

    said = order(operator, "replay", "all=1", rehearse="yes")

    assert "1 of 5 messages tried and rolled back" in said
    assert "No time for the others" in said


def test_replaying_a_group_closes_it_and_records_the_operator(operator):
    keep(30)
    other = keep_unreadable()

    said = order(operator, "replay", "group=Transient&state=dead", reason="mended")

    assert "30 of 30 messages replayed 30 applied Nothing is left to do." in said
    assert SetAside.objects.get(state="dead").id == other.id
    assert Effect.objects.count() == 30
    acts = set(Act.objects.values_list("by", "reason", "result"))
    assert acts == {("ada (admin)", "mended", "applied")}
    assert "30 acts" in text(operator.get("/acts/act/"))


def test_a_replay_stops_and_says_so_if_too_many_fail(operator, handle):
    keep(40)
    handle(fail)

    said = order(operator, "replay", "all=1")

    assert "It stopped: 1 of a batch of 1 came back" in said
    assert "39 are as they were." in said


def test_repeating_an_order_continues_where_the_page_ran_out_of_time(operator, monkeypatch):
    keep(5)
    monkeypatch.setattr(orders, "PATIENCE", -1.0)

    first = order(operator, "replay", "all=1")
    monkeypatch.undo()
    second = order(operator, "replay", "all=1")

    assert "1 of 5 messages replayed" in first
    assert "4 are left, because a page must end in time" in first
    assert "4 of 4 messages replayed" in second
    assert Effect.objects.count() == 5


def test_replaying_a_handled_message_requires_again_and_a_reason(operator):
    row = keep()
    order(operator, "replay", f"ids={row.id}")

    assert "1 not tried" in order(operator, "replay", f"ids={row.id}")
    assert "give a reason" in order(operator, "replay", f"ids={row.id}", again="on")
    assert Effect.objects.count() == 1
    assert "1 applied" in order(
        operator, "replay", f"ids={row.id}", again="on", reason="restored a backup"
    )
    assert Effect.objects.count() == 2


def test_repeating_an_order_applies_a_message_once_per_reason(operator, monkeypatch):
    keep(5)
    order(operator, "replay", "all=1")
    again = {"again": "on", "reason": "restored a backup"}
    monkeypatch.setattr(orders, "PATIENCE", -1.0)
    for _ in range(3):
        order(operator, "replay", "all=1&state=replayed", **again)
    monkeypatch.undo()

    for _ in range(2):
        order(operator, "replay", "all=1&state=replayed", **again)

    assert Effect.objects.count() == 10
    order(operator, "replay", "all=1&state=replayed", again="on", reason="another backup")
    assert Effect.objects.count() == 15


def test_messages_that_cannot_be_replayed_do_not_block_the_others(operator, monkeypatch):
    keep(3)
    SetAside.objects.update(created_at=Now() - timedelta(days=100))
    keep(2)
    monkeypatch.setattr(orders, "PATIENCE", -1.0)

    order(operator, "replay", "group=Transient")
    said = order(operator, "replay", "group=Transient")

    assert "1 of 1 messages replayed 1 applied" in said
    assert "3 others are not tried: handled already, discarded, or older" in said
    assert Effect.objects.count() == 2


@pytest.mark.parametrize("error", [outage.LetGo("the database is away"), OperationalError("gone")])
def test_an_outage_during_an_order_is_reported_with_the_work_done(operator, monkeypatch, error):
    keep(3)

    def once(row_id, order):
        if Effect.objects.exists():
            raise error
        return replay(row_id, order)

    monkeypatch.setattr(bulk_replay, "replay", once)
    said = order(operator, "replay", "all=1")

    assert "It stopped: the database is away" in said
    assert "1 of 3 messages replayed 1 applied" in said
    assert "2 are as they were." in said


def test_messages_are_discarded_for_a_reason_and_restored(operator):
    keep(3)

    assert "This field is required." in order(operator, "discard", "all=1")
    assert states() == ["dead"] * 3
    assert "3 of 3 messages discarded" in order(operator, "discard", "all=1", reason="a test")
    assert states() == ["discarded"] * 3
    assert "3 of 3 messages restored" in order(operator, "restore", "all=1&state=discarded")
    assert states() == ["dead"] * 3
    assert Act.objects.filter(action="discard", reason="a test").count() == 3


@pytest.mark.parametrize("choice", ["all=1", "ids=1", "group=nobody"])
def test_go_on_accepts_only_the_cause_of_a_group(operator, choice):
    keep()

    operator.post(f"{LIST}order/go-on/?{choice}", {"reason": "x"})

    assert Act.objects.count() == 0


@pytest.mark.parametrize("verb", ["discard", "restore"])
def test_a_finished_action_is_not_offered_again(operator, verb):
    row = keep()
    order(operator, "discard", f"ids={row.id}", reason="a test")
    if verb == "restore":
        order(operator, "restore", f"ids={row.id}")

    page = operator.get(f"{LIST}order/{verb}/?ids={row.id}")

    assert "no message is in a state that allows it" in text(page)
    assert b"<textarea" not in page.content


@pytest.mark.parametrize("dead", [True, False])
def test_a_held_consumer_resumes_for_a_reason(operator, dead):
    keep(dead=dead)
    assert b"<textarea" in operator.get(f"{LIST}order/go-on/?group=Transient").content

    said = order(operator, "go-on", "group=Transient", reason="known")

    assert "for an hour, consumers set aside what fails with Transient" in said
    act = Act.objects.get()
    assert (act.action, act.group, act.by) == ("go-on", "Transient", "ada (admin)")


@pytest.mark.parametrize("verb", ["replay", "discard", "restore"])
def test_messages_chosen_in_the_list_reach_the_page_of_the_action(operator, verb):
    row = keep(2)
    data = {"action": f"{verb}_chosen", "_selected_action": [row.id, row.id - 1]}

    answer = operator.post(LIST, data)

    assert answer["Location"] == f"{LIST}order/{verb}/?ids={row.id - 1}%2C{row.id}"
    assert states() == ["dead"] * 2


@pytest.mark.parametrize(
    "choice",
    ["", "all=1&group=x", "ids=1,x", "ids=" + "1," * 200 + "1", "all=1&state=lost"],
    ids=str,
)
def test_a_choice_must_be_made_in_exactly_one_way(operator, choice):
    keep()

    assert operator.post(f"{LIST}order/discard/?{choice}", {"reason": "x"}).status_code == 400
    assert states() == ["dead"]


def test_a_replay_with_the_wrong_sealing_key_is_refused(operator, messaging):
    keep()
    canaries.check()
    messaging(SEALING_KEYS={"k1": b"x" * 32})

    said = order(operator, "replay", "all=1")

    assert "It stopped: " in said
    assert "SEALING_KEYS" in said
    assert states() == ["dead"]


# logging in


def test_five_wrong_passwords_lock_the_login(client):
    User.objects.create_user("ada", password="correct horse battery", is_staff=True)
    wrong = {"username": "ada", "password": "wrong"}

    statuses = [client.post("/login/", wrong).status_code for _ in range(6)]
    right = client.post("/login/", {**wrong, "password": "correct horse battery"})

    assert statuses == [200, 200, 200, 200, 429, 429]
    assert right.status_code == 429
