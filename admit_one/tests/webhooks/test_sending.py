"""What happens arrives at a receiver, signed, again and again until it is taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from admit_one.webhooks import attempt, claims, endpoints, finishing, sending
from admit_one.webhooks.endpoints import Owner
from admit_one.webhooks.models import Delivery, Endpoint
from admit_one.webhooks.outcome import Outcome
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from tests.webhooks.receiver import (
    Receiver,
    close,
    drip,
    flood,
    hang,
    hint,
    in_turn,
    pour,
    with_bytes,
    with_status,
)
from tests.webhooks.steps import (
    MADE,
    SHOP,
    THING,
    an_endpoint,
    days_pass,
    happen,
    make_due,
    send,
    the_delivery,
    the_endpoint,
)

pytestmark = pytest.mark.django_db(transaction=True)


def outcome() -> tuple[str, int | None, str]:
    delivery = the_delivery()
    return delivery.state, delivery.last_status, delivery.last_error


def test_what_happens_arrives_signed_by_the_standard(receiver: Receiver) -> None:
    _, secret = an_endpoint(receiver.url())
    happen()
    send()

    [request] = receiver.requests
    payload = Webhook(secret).verify(request.body, request.headers)
    assert payload["data"] == {"thing_id": "t-1", "state": "made"}
    assert sorted(payload) == ["data", "timestamp", "type"]
    assert request.line == "POST /hooks?key=1 HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["webhook-id"] == str(the_delivery().pk)
    assert outcome() == ("delivered", 204, "")


def test_a_changed_body_or_another_secret_does_not_verify(receiver: Receiver) -> None:
    _, secret = an_endpoint(receiver.url())
    happen()
    send()

    [request] = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body.replace("t-1", "t-2"), request.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 43 + "=").verify(request.body, request.headers)


def test_both_secrets_verify_while_one_is_rotated(receiver: Receiver) -> None:
    endpoint, first = an_endpoint(receiver.url())
    rotated = endpoints.rotate(SHOP, endpoint.pk)
    assert rotated is not None
    happen()
    send()
    Endpoint.objects.update(previous_until=timezone.now())
    happen()
    send()

    during, later = receiver.requests
    for secret in (first, rotated[1]):
        Webhook(secret).verify(during.body, during.headers)
    Webhook(rotated[1]).verify(later.body, later.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(first).verify(later.body, later.headers)


def test_a_failure_is_repeated_with_the_same_id_and_body(receiver: Receiver) -> None:
    _, secret = an_endpoint(receiver.url())
    receiver.answer = in_turn(with_status(500), close, with_status(204))
    happen()
    states = []
    for _ in range(3):
        send()
        states.append(outcome())
        make_due()

    assert states == [
        ("pending", 500, "answered 500"),
        ("pending", None, "the connection ended before an answer"),
        ("delivered", 204, ""),
    ]
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    for request in receiver.requests:
        Webhook(secret).verify(request.body, request.headers)


def test_pauses_grow_and_the_endpoint_rests(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    receiver.answer = with_status(500)
    happen()
    pauses = []
    for _ in range(5):
        send()
        delivery = the_delivery()
        assert delivery.next_attempt_at is not None
        pauses.append((delivery.next_attempt_at - timezone.now()).total_seconds())
        make_due()

    for place, pause in enumerate(pauses):
        most = finishing.FIRST_PAUSE * 2**place
        assert most / 2 - 2 < pause <= most
    assert the_endpoint().failures == 5


def test_nothing_is_sent_before_its_time(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    receiver.answer = with_status(503, "Retry-After: 1800")
    happen()
    send()
    send()

    [_] = receiver.requests
    delivery, endpoint = the_delivery(), the_endpoint()
    assert delivery.next_attempt_at is not None
    assert endpoint.resume_at is not None
    for moment in (delivery.next_attempt_at, endpoint.resume_at):
        assert 1_700 < (moment - timezone.now()).total_seconds() <= 1_800


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (with_status(302, "Location: http://127.0.0.1/"), "answered 302; redirects are not foll"),
        (with_status(308, "Location: http://127.0.0.1/"), "answered 308; redirects are not foll"),
        (with_status(404), "answered 404"),
        (with_status(429, "Retry-After: soon"), "answered 429"),
        (with_bytes(b"SSH-2.0-OpenSSH_9.2\r\n"), "no valid HTTP answer"),
        (with_bytes(b"HTTP/1.1 two hundred\r\n\r\n"), "no valid HTTP answer"),
        (with_bytes(b"HTTP/1.1 100 Continue\r\n\r\n"), "the connection ended before an answer"),
        (with_bytes(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "the connection ended before an answer"),
        (with_bytes(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), "answered 101"),
        (flood, "the headers of its answer exceed 32 KiB"),
    ],
)
def test_any_other_answer_is_a_failure(receiver: Receiver, answer: Any, error: str) -> None:
    an_endpoint(receiver.url())
    receiver.answer = answer
    happen()
    send()

    assert the_delivery().state == "pending"
    assert the_delivery().last_error.startswith(error)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("interim", ["102 Processing", "103 Early Hints", "104 Upload", "199 Any"])
@pytest.mark.parametrize(
    ("final", "expected"),
    [
        ("204 No Content", ("delivered", 204, "")),
        ("503 Later\r\nRetry-After: 1800", ("pending", 503, "answered 503")),
    ],
)
def test_an_interim_answer_is_not_the_final_one(
    receiver: Receiver, interim: str, final: str, expected: tuple[str, int, str]
) -> None:
    an_endpoint(receiver.url())
    first = f"HTTP/1.1 {interim}\r\nContent-Length: 5\r\nRetry-After: 9\r\n\r\n"
    again = "HTTP/1.1 100 Continue\r\n\r\n"
    receiver.answer = with_bytes(f"{first}{again}{first}HTTP/1.1 {final}\r\n\r\n".encode())
    happen()
    send()

    assert outcome() == expected


def test_the_body_of_an_answer_is_not_read(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    receiver.answer = pour
    happen()
    send()

    assert outcome() == ("delivered", 200, "")


@pytest.mark.parametrize("answer", [hang, drip, hint])
def test_a_receiver_has_ten_seconds_whatever_it_does(
    receiver: Receiver, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "DEADLINE", 0.5)
    an_endpoint(receiver.url())
    receiver.answer = answer
    happen()
    send()

    assert outcome() == ("pending", None, "no answer within 10 s")


def test_a_hanging_receiver_holds_up_nobody_else(
    start: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = start(), start()
    slow.answer = hang
    an_endpoint(slow.url())
    an_endpoint(fast.url())
    for _ in range(20):
        happen()
    all_came = threading.Event()

    def count(receiver: Receiver, taken: Any) -> None:
        with_status(204)(receiver, taken)
        if len(fast.requests) == 20:
            all_came.set()

    fast.answer = count
    monkeypatch.setattr(sending, "GRACE", 0.0)
    sending.send_due(lambda: not all_came.is_set(), all_came.is_set)

    assert len(fast.requests) == 20
    assert slow.most_at_once <= claims.AT_ONCE
    assert fast.most_at_once <= claims.AT_ONCE


def test_one_client_leaves_room_for_the_others() -> None:
    for number in range(8):
        an_endpoint(f"https://shop-{number}.example.com/")
    other, _ = an_endpoint("https://other.example.com/", owner=Owner("other", test=False))
    for _ in range(6):
        happen(MADE, THING, THING._replace(client="other"))
    first = claims.take(sending.THREADS, [])
    of_shop = [each.endpoint for each in first if each.endpoint.client == "shop"]
    [next_one] = claims.take(1, of_shop[:8])

    assert len(of_shop) == claims.OF_A_CLIENT == sending.THREADS / 2
    assert len(first) == claims.OF_A_CLIENT + claims.AT_ONCE
    assert next_one.endpoint == other


def test_another_url_starts_without_the_failures_of_the_old_one(
    start: Callable[..., Receiver],
) -> None:
    old, new = start(), start()
    old.answer = with_status(503, "Retry-After: 3600")
    new.answer = with_status(500)
    endpoint, _ = an_endpoint(old.url())
    happen()
    send()
    Endpoint.objects.update(failing_since=timezone.now() - timedelta(days=4))
    endpoints.change(SHOP, endpoint.pk, url=new.url())
    happen()
    send()

    assert len(new.requests) == 1
    assert the_endpoint().disabled_at is None


def test_a_failing_endpoint_gets_one_request_at_a_time(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    receiver.answer = with_status(500)
    for _ in range(10):
        happen()
    send()
    first = len(receiver.requests)
    make_due()
    send()

    assert first <= claims.AT_ONCE
    assert len(receiver.requests) == first + 1


def test_410_disables_at_once_and_keeps_what_waits(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, _ = an_endpoint(receiver.url())
    receiver.answer = with_status(410)
    happen()
    send()
    make_due()
    send()

    assert the_endpoint().disabled_reason == "it answered 410: it wants no more webhooks"
    assert len(receiver.requests) == 1
    [record] = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.event == "webhook_endpoint_disabled"  # type: ignore[attr-defined]

    receiver.answer = with_status(204)
    endpoints.enable(SHOP, endpoint.pk)
    send()

    assert the_delivery().state == "delivered"


def test_after_three_days_of_failures_the_endpoint_is_disabled(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint, _ = an_endpoint(receiver.url())
    receiver.answer = with_status(500)
    happen()
    send()
    days_pass(2.9)
    send()
    assert the_endpoint().disabled_at is None
    days_pass(0.2)
    happen()
    send()
    make_due()
    send()

    assert the_endpoint().disabled_reason == "nothing was delivered for 3 days"
    assert "ERROR" in {record.levelname for record in caplog.records}
    states = sorted(Delivery.objects.values_list("state", flat=True))
    assert states == ["failed", "pending"]

    receiver.answer = with_status(204)
    endpoints.enable(SHOP, endpoint.pk)
    [given_up] = Delivery.objects.filter(state="failed")
    endpoints.resend(SHOP, endpoint.pk, given_up.pk)
    send()

    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert the_endpoint().failing_since is None


def test_what_waited_for_an_endpoint_gets_three_days_once_that_is_enabled(
    receiver: Receiver,
) -> None:
    endpoint, _ = an_endpoint(receiver.url())
    receiver.answer = with_status(410)
    happen()
    send()
    days_pass(4)
    receiver.answer = with_status(500)
    endpoints.enable(SHOP, endpoint.pk)
    states = []
    for days in (0, 2.9, 0.2):
        days_pass(days)
        send()
        states.append(the_delivery().state)

    assert states == ["pending", "pending", "failed"]


def test_one_success_within_three_days_keeps_the_endpoint(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    happen()
    bad = the_delivery().pk

    def refuse_one(receiver: Receiver, taken: Any) -> None:
        is_bad = receiver.requests[-1].headers["webhook-id"] == str(bad)
        with_status(500 if is_bad else 204)(receiver, taken)

    receiver.answer = refuse_one
    for _ in range(5):
        send()
        happen()
        make_due()
        send()
        days_pass(1)

    assert Delivery.objects.get(pk=bad).state == "failed"
    assert the_endpoint().disabled_at is None


def test_a_dead_workers_claim_comes_back_with_the_same_id(receiver: Receiver) -> None:
    an_endpoint(receiver.url())
    happen()
    [claimed] = claims.take(8, [])
    assert claims.take(8, []) == []
    lease = the_delivery().next_attempt_at
    assert lease is not None
    assert lease - timezone.now() < timedelta(seconds=60)

    make_due()
    send()
    finishing.finish([finishing.Ended(claimed, Outcome(500, "answered 500"))])

    assert [UUID(request.headers["webhook-id"]) for request in receiver.requests] == [claimed.pk]
    assert outcome() == ("delivered", 204, "")
    assert the_delivery().attempts == 2


def test_a_crash_after_the_answer_sends_the_same_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_endpoint(receiver.url())
    happen()
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "_record", _dies)
        with pytest.raises(SystemExit):
            send()
    assert the_delivery().state == "pending"
    make_due()
    send()

    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert outcome() == ("delivered", 204, "")


def test_a_resend_outlives_the_attempt_that_is_under_way(receiver: Receiver) -> None:
    endpoint, _ = an_endpoint(receiver.url())
    happen()
    days_pass(4)
    [under_way] = claims.take(8, [])
    endpoints.resend(SHOP, endpoint.pk, under_way.pk)
    finishing.finish([finishing.Ended(under_way, Outcome(500, "answered 500"))])
    assert the_delivery().state == "pending"
    make_due()
    send()

    assert outcome() == ("delivered", 204, "")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="its clock is that of this machine")
@pytest.mark.parametrize("days", [-30, 30])
def test_a_worker_with_a_wrong_clock_gives_nothing_up(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    an_endpoint(receiver.url())
    receiver.answer = with_status(500)
    happen()
    right = timezone.now
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: right() + timedelta(days=days))
        send()

    endpoint = the_endpoint()
    assert the_delivery().state == "pending"
    assert endpoint.disabled_at is None
    for moment in (endpoint.failing_since, endpoint.resume_at):
        assert moment is not None
        assert abs(moment - right()) < timedelta(minutes=1)


def _dies(*_: object) -> None:
    raise SystemExit


def test_nothing_listens_where_it_goes() -> None:
    an_endpoint("http://127.0.0.1:1/")
    happen()
    send()

    assert outcome() == ("pending", None, "no connection")


def test_no_proxy_of_the_environment_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    an_endpoint(receiver.url())
    happen()
    send()

    assert outcome() == ("delivered", 204, "")


def test_an_endpoint_is_not_to_blame_for_a_key_that_is_gone_here(
    receiver: Receiver, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    an_endpoint(receiver.url())
    happen()
    keys = settings.SEALING_KEYS
    settings.SEALING_KEYS = {"k2": b"2" * 32}
    send()
    failed = outcome()
    settings.SEALING_KEYS = keys
    make_due()
    send()

    assert failed == ("pending", None, "it cannot be signed here; an operator has to act")
    assert "webhook_not_signed" in {getattr(record, "event", "") for record in caplog.records}
    assert the_endpoint().failing_since is None
    assert outcome() == ("delivered", 204, "")


def test_a_secret_whose_key_is_gone_can_be_rotated(receiver: Receiver, settings: Any) -> None:
    endpoint, _ = an_endpoint(receiver.url())
    happen()
    settings.SEALING_KEYS = {"k2": b"2" * 32}
    rotated = endpoints.rotate(SHOP, endpoint.pk)
    assert rotated is not None
    send()

    [request] = receiver.requests
    Webhook(rotated[1]).verify(request.body, request.headers)
    assert the_endpoint().previous_until is None


def test_who_comes_as_a_run_ends_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []

    class Run:
        def __init__(self, *_: object) -> None:
            runs.append(self)

        def run(self) -> None:
            pass

    class Lock:
        def __init__(self) -> None:
            self.real = threading.Lock()

        def acquire(self, *, blocking: bool) -> bool:
            return self.real.acquire(blocking=blocking)

        def release(self) -> None:
            if len(runs) == 1:
                send()
            self.real.release()

    monkeypatch.setattr(sending, "_Run", Run)
    monkeypatch.setattr(sending, "_one_run", Lock())
    send()

    assert len(runs) == 2


def test_no_secret_and_no_url_is_logged(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    _, secret = an_endpoint(receiver.url(path="/hooks/very-private-path"))
    receiver.answer = in_turn(with_status(500), with_status(410))
    happen()
    send()
    make_due()
    send()

    logged = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "very-private-path" not in logged
    assert secret.removeprefix("whsec_") not in logged
    assert json.loads(receiver.requests[0].body)["type"] == "thing.made"


@pytest.mark.parametrize("header", ["no colon in private-text", ": private-text without a name"])
def test_nothing_of_an_answer_that_is_no_http_is_logged(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    caplog.set_level("DEBUG")
    an_endpoint(receiver.url(path="/hooks/very-private-path"))
    receiver.answer = with_bytes(f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode())
    happen()
    send()

    logged = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert outcome() == ("delivered", 200, "")
    assert "very-private-path" not in logged
    assert "private-text" not in logged
