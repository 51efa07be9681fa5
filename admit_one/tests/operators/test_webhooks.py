"""Webhook endpoints and deliveries on the pages for operators."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from admit_one.acts.models import Act
from admit_one.webhooks import by_hand, reporting
from admit_one.webhooks.models import Delivery, Endpoint
from django.utils import timezone

from tests.operators.steps import text
from tests.webhooks.steps import MADE, an_endpoint

pytestmark = pytest.mark.django_db(transaction=True)

ENDPOINTS, DELIVERIES = "/webhooks/endpoint/", "/webhooks/delivery/"
URL = "https://shop.example.com/hooks/very-private-path?key=very-private-key"
HERE = Path(__file__).parent.parent.parent
WHY = {"reason": "they have mended it"}


@pytest.fixture
def operator(log_in, client):
    log_in("view_endpoint", "work_on_endpoint")
    return client


@pytest.fixture
def endpoint() -> Endpoint:
    return an_endpoint(URL)[0]


def a_delivery(endpoint: Endpoint, **fields) -> Delivery:
    subject = fields.pop("subject", uuid4())
    row = reporting.row(endpoint.pk, MADE, '{"type":"thing.made"}', subject)
    Delivery.objects.create(**row)
    Delivery.objects.filter(pk=row["id"]).update(**fields)
    return Delivery.objects.get(pk=row["id"])


def a_failed_one(endpoint: Endpoint) -> Delivery:
    return a_delivery(
        endpoint,
        state="failed",
        next_attempt_at=None,
        finished_at=timezone.now(),
        last_status=500,
        last_error="answered 500",
    )


def page(row: Endpoint | Delivery) -> str:
    return f"{ENDPOINTS if isinstance(row, Endpoint) else DELIVERIES}{row.pk}/change/"


def resend(client, *rows: Delivery, **data):
    data |= {"action": "resend_chosen", "_selected_action": [row.pk for row in rows]}
    return client.post(DELIVERIES, data, follow=True)


# what is shown


def test_the_list_shows_whose_endpoint_fails_since_when_and_why(operator, endpoint):
    other, _ = an_endpoint("https://other.example.com:8443/")
    Endpoint.objects.filter(pk=other.pk).update(failing_since="2026-01-02T03:04:05Z", failures=7)
    by_hand.disable(endpoint.pk, by="ada", reason="it is not theirs")

    shown = text(operator.get(ENDPOINTS))

    assert "https://shop.example.com disabled 20" in shown
    assert ": by an operator of this service shop use thing.ended thing.made" in shown
    assert "https://other.example.com:8443 failing since 2026-01-02 03:04 shop use" in shown


@pytest.mark.parametrize(
    ("state", "hosts"),
    [("enabled", {"well", "failing"}), ("failing", {"failing"}), ("disabled", {"disabled"})],
)
def test_a_filter_finds_those_that_somebody_should_look_at(operator, state, hosts):
    made = {name: an_endpoint(f"https://{name}.example.com/")[0] for name in ("well", "failing")}
    made["disabled"], _ = an_endpoint("https://disabled.example.com/")
    broken = Endpoint.objects.filter(pk__in=[made["failing"].pk, made["disabled"].pk])
    broken.update(failing_since=timezone.now())
    by_hand.disable(made["disabled"].pk, by="ada", reason="a test")

    shown = text(operator.get(f"{ENDPOINTS}?state={state}"))

    assert set(re.findall(r"https://(\w+)\.example\.com", shown)) == hosts


def test_an_endpoint_shows_how_much_waits_and_what_was_decided(operator, endpoint):
    a_delivery(endpoint)
    a_failed_one(endpoint)
    by_hand.disable(endpoint.pk, by="bob", reason="ada@example.com asked for it")

    answer = operator.get(page(endpoint))

    assert "1 pending" in text(answer)
    assert "1 failed" in text(answer)
    assert "disable by bob, because: a…@e….com asked for it" in text(answer)
    links = re.findall(rf'href="({DELIVERIES}\?[^"]+)"', answer.content.decode())
    lists = [text(operator.get(unescape(link))) for link in links]
    counts = [re.findall(r"(\d+) webhook deliver", shown) for shown in lists]
    assert counts == [["2"], ["1"], ["1"]]


def test_a_delivery_shows_what_came_of_it_and_no_body(operator, endpoint):
    failed = a_failed_one(endpoint)

    shown = text(operator.get(page(failed)))

    assert f"about {failed.subject} to shop at https://shop.example.com state failed" in shown
    assert "last attempt 500 answered 500" in shown
    assert "thing.made" in shown
    assert '{"type"' not in shown


def test_the_list_of_deliveries_shows_state_last_attempt_and_receiver(operator, endpoint):
    failed = a_failed_one(endpoint)
    written = f"{failed.created_at:%Y-%m-%d %H:%M:%S}"

    shown = text(operator.get(DELIVERIES))

    assert f"{failed.pk} thing.made failed 500 answered 500 0 {written} shop at https://" in shown


@pytest.mark.parametrize("what", ["pk", "subject"])
def test_search_finds_a_delivery_by_its_id_and_by_what_it_is_about(operator, endpoint, what):
    wanted, other = a_delivery(endpoint), a_delivery(endpoint)

    shown = text(operator.get(DELIVERIES, {"q": f" {getattr(wanted, what)} "}))

    assert str(wanted.pk) in shown
    assert str(other.pk) not in shown


@pytest.mark.parametrize("typed", ["thing.made", "0", "%", "x" * 300, str(uuid4())])
@pytest.mark.parametrize("where", [ENDPOINTS, DELIVERIES])
def test_a_search_for_anything_else_finds_nothing(operator, endpoint, where, typed):
    a_delivery(endpoint, subject=None)

    assert "0 results" in text(operator.get(where, {"q": typed}))


def test_search_finds_endpoints_by_id_and_by_client(operator, endpoint):
    for typed in (endpoint.pk, "shop"):
        assert "1 result" in text(operator.get(ENDPOINTS, {"q": typed}))


def test_no_page_shows_a_path_a_query_a_secret_or_a_body(operator, log_in):
    endpoint, secret = an_endpoint(URL)
    failed = a_failed_one(endpoint)
    operator.post(page(endpoint), {"do": "Disable", "reason": f"{secret} has leaked"})
    pages = [
        operator.get(each).content.decode()
        for each in (ENDPOINTS, DELIVERIES, page(endpoint), page(failed))
    ]
    pages.append(resend(operator, failed).content.decode())

    for hidden in ("very-private-path", "very-private-key", secret, failed.body):
        assert [shown for shown in pages if hidden in unescape(shown)] == []


def test_what_its_client_has_deleted_is_gone(operator, endpoint):
    failed = a_failed_one(endpoint)
    Endpoint.objects.update(deleted_at=timezone.now())

    assert operator.get(page(endpoint)).status_code == 404
    assert operator.get(page(failed)).status_code == 404
    assert operator.post(page(failed), WHY).status_code == 404
    assert str(failed.pk) not in text(operator.get(DELIVERIES))
    assert Delivery.objects.get().state == "failed"


# what is decided


def test_an_operator_disables_and_enables_an_endpoint_with_a_reason_on_record(operator, endpoint):
    disabled = text(operator.post(page(endpoint), {"do": "Disable", **WHY}, follow=True))
    enabled = text(operator.post(page(endpoint), {"do": "Enable", **WHY}, follow=True))

    assert "It is disabled." in disabled
    assert "state disabled 20" in disabled
    assert "It is enabled." in enabled
    assert "state enabled" in enabled
    acts = Act.objects.filter(target=str(endpoint.pk)).exclude(action="create").order_by("id")
    assert [(act.area, act.action, act.by, act.reason) for act in acts] == [
        ("webhooks", "disable", "ada (admin)", WHY["reason"]),
        ("webhooks", "enable", "ada (admin)", WHY["reason"]),
    ]


def test_a_button_of_an_old_page_does_not_undo_what_others_have_decided(operator, endpoint):
    by_hand.disable(endpoint.pk, by="bob", reason="a test")
    operator.post(page(endpoint), {"do": "Disable", **WHY})

    assert Endpoint.objects.get().disabled_at is not None
    assert not Act.objects.filter(by="ada (admin)").exists()


def test_nothing_is_decided_without_a_reason_or_without_a_verb(operator, endpoint):
    refused = text(operator.post(page(endpoint), {"do": "Disable", "reason": " "}))
    operator.post(page(endpoint), WHY)

    assert "This field is required" in refused
    assert Endpoint.objects.get().disabled_at is None


def test_one_delivery_is_resent_with_a_reason_on_record(operator, endpoint):
    failed = a_failed_one(endpoint)
    shown = text(operator.post(page(failed), WHY, follow=True))

    failed.refresh_from_db()
    assert (failed.state, failed.tries) == ("pending", 0)
    assert "Due again: 1." in shown
    assert "resend by ada (admin), because: they have mended it" in shown
    [act] = Act.objects.filter(action="resend")
    assert (act.target, act.by) == (str(failed.pk), "ada (admin)")


def test_a_page_says_that_a_delivery_was_taken_before_it_is_resent(operator, endpoint):
    taken = a_delivery(endpoint, state="delivered", next_attempt_at=None)

    assert "It was delivered already." in text(operator.get(page(taken)))
    assert "It was delivered" not in text(operator.get(page(a_failed_one(endpoint))))


def test_several_deliveries_are_resent_after_one_question_for_the_reason(operator, endpoint):
    chosen, other = [a_failed_one(endpoint) for _ in range(3)], a_failed_one(endpoint)
    question = resend(operator, *chosen)
    ids = re.findall(r'name="_selected_action" value="([^"]+)"', question.content.decode())
    none_yet = Delivery.objects.filter(state="pending").count()
    done = text(resend(operator, *chosen, **WHY))

    assert "Resend 3 webhooks" in text(question)
    assert {UUID(each) for each in ids} == {row.pk for row in chosen}
    assert none_yet == 0
    assert "Due again: 3." in done
    assert [row.pk for row in Delivery.objects.filter(state="failed")] == [other.pk]
    assert Act.objects.filter(action="resend", reason=WHY["reason"]).count() == 3


def test_more_than_a_page_of_deliveries_is_left_to_the_command(operator, endpoint):
    rows = [a_failed_one(endpoint) for _ in range(101)]

    said = text(resend(operator, rows[0], select_across="1", **WHY))

    assert "Too many to select" in said
    assert not Delivery.objects.filter(state="pending").exists()


def test_a_resend_to_a_disabled_endpoint_waits_until_it_is_enabled(operator, endpoint):
    failed = a_failed_one(endpoint)
    by_hand.disable(endpoint.pk, by="bob", reason="a test")

    shown = text(operator.post(page(failed), WHY, follow=True))

    assert "state pending: its endpoint is disabled" in shown


# who may


def test_a_viewer_sees_webhooks_and_can_change_nothing(client, log_in, endpoint):
    failed = a_failed_one(endpoint)
    log_in("view_endpoint")
    seen = [text(client.get(each)) for each in (ENDPOINTS, DELIVERIES)]
    seen += [text(client.get(page(each))) for each in (endpoint, failed)]

    assert [shown for shown in seen if "Resend" in shown or "Reason" in shown] == []
    assert client.post(page(endpoint), {"do": "Disable", **WHY}).status_code == 403
    assert client.post(page(failed), WHY).status_code == 403
    resend(client, failed, **WHY)
    assert Delivery.objects.get().state == "failed"
    assert not Act.objects.exclude(action="create").exists()


@pytest.mark.parametrize("permissions", [(), ("work_on_endpoint",), ("view_setaside",)])
def test_without_view_permission_no_webhook_shows(client, log_in, endpoint, permissions):
    failed = a_failed_one(endpoint)
    log_in(*permissions)

    for each in (ENDPOINTS, DELIVERIES, page(endpoint), page(failed)):
        assert client.get(each).status_code == 403
        assert client.post(each, {"do": "Disable", **WHY}).status_code == 403
    assert resend(client, failed, **WHY).status_code == 403


def test_a_decision_requires_the_token_of_its_page(operator, endpoint):
    failed = a_failed_one(endpoint)
    operator.handler.enforce_csrf_checks = True

    assert operator.post(page(endpoint), {"do": "Disable", **WHY}).status_code == 403
    assert operator.post(page(failed), WHY).status_code == 403
    assert resend(operator, failed, **WHY).status_code == 403


@pytest.mark.parametrize(
    "url", ["add/", "{}/delete/", "?body__contains=x", "?secret__startswith=x"]
)
@pytest.mark.parametrize("where", [ENDPOINTS, DELIVERIES])
def test_nobody_edits_webhooks_by_hand_or_probes_their_columns(operator, endpoint, where, url):
    row = endpoint if where == ENDPOINTS else a_failed_one(endpoint)

    assert operator.get(where + url.format(row.pk)).status_code in {302, 400, 403}


@pytest.mark.parametrize("url", ["%00/change/", "x/change/", "?state=%00", "?q=%00", "?p=x"])
@pytest.mark.parametrize("where", [ENDPOINTS, DELIVERIES])
def test_bad_input_is_refused_politely(operator, endpoint, where, url):
    assert operator.get(where + url).status_code < 500


@pytest.mark.parametrize("made_up", ["x", "\0", "1'"])
@pytest.mark.parametrize(
    ("where", "action"), [(DELIVERIES, "resend_chosen"), ("/messaging/setaside/", "replay_chosen")]
)
def test_a_selection_that_no_page_has_offered_is_refused(client, log_in, where, action, made_up):
    log_in("view_endpoint", "work_on_endpoint", "view_setaside", "work_on_setaside")
    answer = client.post(where, {"action": action, "_selected_action": made_up, **WHY})

    assert answer.status_code == 400


def test_a_list_of_an_endpoint_that_is_none_is_refused_politely(operator):
    for named in ("x", "%00", str(uuid4())):
        answer = operator.get(f"{DELIVERIES}?endpoint__id__exact={named}")
        assert answer.status_code < 500


def test_the_pages_need_no_http_client() -> None:
    """Only the worker sends, so a web process need not have the extra, nor its memory."""
    script = (
        "import sys; sys.modules['urllib3'] = None\n"
        "import django; django.setup()\n"
        "from admit_one.operators import delivery_admin, endpoint_admin\n"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=HERE, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.returncode == 0
