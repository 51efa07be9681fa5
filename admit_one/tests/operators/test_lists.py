"""What the pages for operators show of set-aside messages."""

from __future__ import annotations

import json
import re
from datetime import UTC
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Transient
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.set_aside.groups import short
from admit_one.messaging.testing import an_envelope

from tests.contract.events import UserSubscribed
from tests.operators.steps import LIST, order, text
from tests.set_aside_rows import fail, keep, keep_unreadable

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_empty_list_says_so(operator):
    assert "Nothing is set aside: every message was handled." in text(operator.get(LIST))


def test_the_list_shows_groups_and_links_to_their_messages(operator):
    row = keep(3, error=Transient("no room for ada@example.com"), dead=False)
    keep_unreadable()

    page = operator.get(LIST)

    assert f"{short('Malformed: no end')} dead 1 –" in text(page)
    assert f"{short('Transient')} retrying 3 –" in text(page)
    assert f"such as {row.id} , user_subscribed: no room for a…@e….com" in text(page)
    [messages] = re.findall(r'href="(\?state__exact=retrying[^"]+)"', page.content.decode())
    assert "3 set-aside messages" in text(operator.get(LIST + unescape(messages)))


def test_the_list_links_to_a_message_whatever_the_format_of_numbers(operator, settings):
    settings.USE_I18N = settings.USE_THOUSAND_SEPARATOR = True
    keep()
    SetAside.objects.update(id=1_234_567)

    page = operator.get(LIST).content.decode()

    [link] = re.findall(r'such as <a href="([^"]+)">1234567<', page)
    assert operator.get(LIST + link).status_code == 200
    replay = operator.get(f"{LIST}order/replay/?all=1")
    assert "such as 1234567 ." in text(replay)


def test_the_list_shows_utc_whatever_the_time_zone_of_the_project(operator, settings):
    settings.TIME_ZONE = "Asia/Shanghai"
    created = keep().created_at

    page = text(operator.get(LIST))

    assert f"{created.astimezone(UTC):%Y-%m-%d %H:%M}" in page
    assert f"{created.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M}" not in page


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

    assert "dead (may have killed its consumer, replayed 1 x and failed again)" in text(answer)
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
