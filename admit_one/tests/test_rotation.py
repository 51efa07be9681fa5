"""Keys are rotated while everything runs: every row stays readable, and none is left out."""

from __future__ import annotations

import io

import pytest
from admit_one.acts.models import Act
from admit_one.messaging import inbox, outbox
from admit_one.messaging.inbox import Received
from admit_one.messaging.models import OUTBOX_PURPOSE, OutboxMessage, SetAside
from admit_one.messaging.set_aside import keeping
from admit_one.messaging.testing import an_envelope, published
from admit_one.sealing import canaries, cipher, rotation
from admit_one.sealing.models import KeyCanary
from django.core.management import call_command
from django.db import transaction

from tests.contract.events import AccessCodeCreated, UserSubscribed
from tests.handlers import HANDLERS

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = b"1" * 32, b"2" * 32, b"3" * 32
BEFORE = {"k1": OLD}
BETWEEN = {"k2": NEW, "k1": OLD}
AFTER = {"k2": NEW}


def publish(number):
    envelopes = [an_envelope(AccessCodeCreated) for _ in range(number)]
    with transaction.atomic():
        outbox.publish(*envelopes)
    return [envelope.id for envelope in envelopes]


def rotate_keys(*arguments):
    out = io.StringIO()
    try:
        call_command("rotate_keys", *arguments, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def sealed_with():
    return {cipher.key_id(body) for body in OutboxMessage.objects.values_list("body", flat=True)}


def quietly(*_):
    pass


def test_after_a_rotation_a_start_without_the_old_key_succeeds(messaging):
    messaging(SEALING_KEYS=BEFORE)
    canaries.check()
    ids = publish(3)
    keeping.keep(Received.read(b"unreadable", queue="q"), ValueError("x"), dead=True)
    OutboxMessage.objects.filter(event_id=ids[0]).update(published_at="2026-01-01T00:00:00Z")
    messaging(SEALING_KEYS=BETWEEN)
    canaries.check()

    code, said = rotate_keys()
    messaging(SEALING_KEYS=AFTER)
    canaries.check()

    assert code == 0
    assert "k1 may be removed from SEALING_KEYS." in said
    assert [envelope.id for envelope in published()] == ids
    assert keeping.read(SetAside.objects.get()).body == b"unreadable"


def test_a_rotation_renews_more_rows_than_one_window(messaging, monkeypatch):
    monkeypatch.setattr(rotation, "WINDOW", 10)
    messaging(SEALING_KEYS=BEFORE)
    publish(35)
    messaging(SEALING_KEYS=BETWEEN)

    first, second = rotation.rotate(quietly)[0], rotation.rotate(quietly)[0]

    assert (first.renewed, second.renewed) == (35, 0)
    assert sealed_with() == {"k2"}


def test_a_dry_run_counts_by_key_and_changes_nothing(messaging):
    messaging(SEALING_KEYS=BEFORE)
    canaries.check()
    publish(4)
    messaging(SEALING_KEYS=BETWEEN)
    publish(2)

    code, said = rotate_keys("--dry-run")

    assert code == 0
    assert "  k1 4, k2 2\n" in said
    assert "k1 is needed: 4 rows are sealed with it; rotate_keys reseals them." in said
    assert sealed_with() == {"k1", "k2"}
    assert set(KeyCanary.objects.values_list("key_id", flat=True)) == {"k1"}


def test_an_interrupted_rotation_resumes_where_it_stopped(messaging, monkeypatch):
    monkeypatch.setattr(rotation, "WINDOW", 10)
    messaging(SEALING_KEYS=BEFORE)
    publish(30)
    messaging(SEALING_KEYS=BETWEEN)

    def end(_, rows):
        if rows == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(end)
    renewed = sum(cipher.key_id(row.body) == "k2" for row in OutboxMessage.objects.all())
    rest = rotation.rotate(quietly)[0]

    assert (renewed, rest.renewed) == (20, 10)


def test_rows_without_a_listed_key_are_reported_and_keep_their_canary(messaging):
    messaging(SEALING_KEYS={"k0": OTHER})
    publish(1)
    messaging(SEALING_KEYS=BEFORE)
    publish(2)
    changed = OutboxMessage.objects.earliest("-id")
    OutboxMessage.objects.filter(id=changed.id).update(body=bytes(changed.body)[:-1])
    messaging(SEALING_KEYS=BETWEEN)

    code, said = rotate_keys()

    assert code == 1
    assert "not unsealed by any listed key 'k0': 1" in said
    assert sealed_with() == {"k0", "k1", "k2"}
    assert set(KeyCanary.objects.values_list("key_id", flat=True)) == {"k1", "k2"}


def test_a_row_that_names_no_key_shows_nothing(messaging):
    messaging(SEALING_KEYS=BEFORE)
    publish(1)
    OutboxMessage.objects.create(event_id="1", type="x", subject="x", body=b"\x07ada@example.com")

    code, said = rotate_keys()

    assert code == 1
    assert "  unknown 1, k1 1\n  not unsealed by any listed key (unknown): 1" in said
    assert "ada@" not in said


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_a_rotation_with_the_wrong_sealing_key_is_refused(messaging, arguments):
    messaging(SEALING_KEYS=BETWEEN)
    canaries.check()
    publish(1)
    messaging(SEALING_KEYS=BEFORE)
    publish(1)
    messaging(SEALING_KEYS={"k2": OTHER, "k1": OLD})

    with pytest.raises(canaries.WrongKey, match="expected the key 'k2' that sealed"):
        rotate_keys(*arguments)

    messaging(SEALING_KEYS=BETWEEN)
    assert (len(published()), sealed_with()) == (2, {"k1", "k2"})


def test_the_inbox_distinguishes_bodies_while_their_key_is_listed(messaging):
    messaging(SEALING_KEYS=BEFORE)
    first = an_envelope(UserSubscribed)
    other = first.to_json().replace(b'"gold"', b'"iron"')
    inbox.process([Received.read(first.to_json(), queue="q")], HANDLERS)
    messaging(SEALING_KEYS=BETWEEN)
    said = rotate_keys()[1]

    def results():
        bodies = (first.to_json(), other)
        received = [Received.read(body, queue="q") for body in bodies]
        return [inbox.process([message], HANDLERS)[0].result for message in received]

    between = results()
    messaging(SEALING_KEYS=AFTER)

    assert "  Best after " in said
    assert between == ["duplicate", "malformed"]
    assert results() == ["duplicate", "duplicate"]


def test_a_rotation_never_overwrites_a_concurrent_change(messaging, monkeypatch):
    messaging(SEALING_KEYS=BEFORE)
    [event_id] = publish(1)
    messaging(SEALING_KEYS=BETWEEN)
    renew = rotation._renew

    def after_another(each, rows):
        later = cipher.seal(b"what was written meanwhile", OUTBOX_PURPOSE, event_id)
        OutboxMessage.objects.update(body=later)
        return renew(each, rows)

    monkeypatch.setattr(rotation, "_renew", after_another)
    rotation.rotate(quietly)

    body = OutboxMessage.objects.get().body
    assert cipher.unseal(body, OUTBOX_PURPOSE, event_id) == b"what was written meanwhile"


def test_who_rotated_and_the_result_are_recorded(messaging):
    messaging(SEALING_KEYS=BEFORE)
    publish(1)
    messaging(SEALING_KEYS=BETWEEN)
    rotate_keys("--dry-run")
    rotate_keys()

    [act] = Act.objects.all()
    assert (act.area, act.action, act.target, act.result) == ("keys", "rotate", "k2", "done")


def test_who_rotated_is_recorded_even_if_the_rotation_is_killed(messaging, monkeypatch):
    messaging(SEALING_KEYS=BEFORE)
    publish(1)
    messaging(SEALING_KEYS=BETWEEN)

    def killed(*_):
        raise SystemExit(9)

    monkeypatch.setattr(rotation, "rotate", killed)
    rotate_keys()

    assert [(act.target, act.result) for act in Act.objects.all()] == [("k2", "")]
