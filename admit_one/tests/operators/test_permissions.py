"""Who may see the pages for operators, and who may do what."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from admit_one.acts.models import Act
from django.contrib.auth.models import User

from tests.operators.steps import LIST, text
from tests.set_aside_rows import keep, states

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_five_wrong_passwords_lock_the_login(client):
    User.objects.create_user("ada", password="correct horse battery", is_staff=True)
    wrong = {"username": "ada", "password": "wrong"}

    statuses = [client.post("/login/", wrong).status_code for _ in range(6)]
    right = client.post("/login/", {**wrong, "password": "correct horse battery"})

    assert statuses == [200, 200, 200, 200, 429, 429]
    assert right.status_code == 429


def test_failed_logins_with_a_name_as_long_as_an_address_lock_it_too(client):
    wrong = {"username": "x" * 242 + "@example.org", "password": "wrong"}

    statuses = [client.post("/login/", wrong).status_code for _ in range(5)]

    assert statuses == [200, 200, 200, 200, 429]


@pytest.mark.parametrize(
    "name",
    ["x" * 300, "nul\0", "\udc80", "\U0001f600" * 255],
    ids=["long", "NUL", "half a pair", "wide"],
)
def test_an_invalid_login_name_of_any_kind_is_refused_properly(client, name):
    username = name.encode("utf-8", "surrogatepass")
    form = urlencode({"username": username, "password": "wrong"})

    answer = client.post(
        "/login/", form, "application/x-www-form-urlencoded", HTTP_USER_AGENT="x" * 9_000
    )

    assert answer.status_code == 200
