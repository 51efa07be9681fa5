"""No key begins to seal that a running process lacks, and a process that lacks one is not ready."""

from __future__ import annotations

import io

import pytest
from admit_one.messaging.models import OutboxMessage
from admit_one.processes.pulse import Pulse
from admit_one.sealing import canaries, cipher, holders, key_watch, rotation
from admit_one.sealing.models import KeyCanary, KeyHolder
from django.core.management import call_command
from django.db import OperationalError
from django.db.models.functions import Now

from tests.test_rotation import publish, rotate_keys
from tools.system.eventually import eventually

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, OTHER = b"1" * 32, b"2" * 32, b"3" * 32
BEFORE = {"k1": OLD}
BEHIND = {"k1": OLD, "k2": NEW}
IN_FRONT = {"k2": NEW, "k1": OLD}


@pytest.fixture
def web(messaging):
    """A running process, which was started with these keys."""

    def started(keys, what="web"):
        messaging(SEALING_KEYS=keys)
        canaries.check()
        holder = holders.this_process(what)
        holders.see(holder)
        return holder

    return started


@pytest.mark.parametrize("keys", [BEFORE, {"k1": OLD, "k2": OTHER}], ids=["none", "another"])
@pytest.mark.parametrize("arguments", [(), ("--dry-run",)], ids=["rotation", "rehearsal"])
def test_a_rotation_to_a_key_that_a_process_lacks_is_refused(web, messaging, keys, arguments):
    web(BEFORE)
    publish(1)
    holder = web(keys)
    messaging(SEALING_KEYS=IN_FRONT)

    with pytest.raises(rotation.KeysDiffer) as refused:
        rotate_keys(*arguments)

    assert f"{holder.process}: another SEALING_KEYS k2, or none" in str(refused.value)
    assert "Restart them with these keys first." in str(refused.value)
    # Not even announced, or the process would not be ready.
    assert [canary.key_id for canary in KeyCanary.objects.all()] == ["k1"]
    assert cipher.key_id(OutboxMessage.objects.get().body) == "k1"


def test_a_rotation_keeps_a_key_with_which_a_process_still_seals(web, messaging):
    holder = web(BEHIND)
    publish(1)
    messaging(SEALING_KEYS=IN_FRONT)
    code, said = rotate_keys()

    assert code == 1
    assert (
        f"k1 is needed, because running processes still seal with it:\n  {holder.process}" in said
    )
    assert cipher.key_id(OutboxMessage.objects.get().body) == "k2"
    assert sorted(canary.key_id for canary in KeyCanary.objects.all()) == ["k1", "k2"]


def test_a_rotation_with_the_keys_of_every_process_is_done(web):
    web(BEFORE)
    publish(1)
    KeyHolder.objects.all().delete()
    web(IN_FRONT, "web")
    web(IN_FRONT, "relay")

    code, said = rotate_keys()

    assert code == 0
    assert "k1 may be removed from SEALING_KEYS." in said


def test_processes_that_ended_or_were_killed_do_not_count(web, messaging):
    holders.forget(web(BEFORE))
    killed = web(BEFORE, "relay")
    KeyHolder.objects.filter(id=killed.id).update(seen_at=Now() - holders.STALE)
    messaging(SEALING_KEYS=IN_FRONT)

    assert rotate_keys()[0] == 0


def test_a_process_that_was_cut_off_counts_again_once_it_is_back(web, messaging):
    holder = web(BEFORE)
    KeyHolder.objects.filter(id=holder.id).update(seen_at=Now() - holders.STALE)
    web(BEFORE, "another, whose start deletes the rows of the dead")
    holders.see(holder)
    messaging(SEALING_KEYS=IN_FRONT)

    assert len(holders.without_our_keys()) == 2


def test_a_process_is_not_ready_while_a_key_seals_that_it_lacks(messaging, monkeypatch, caplog):
    messaging(SEALING_KEYS=BEFORE)
    canaries.check()
    pulse = Pulse()
    monkeypatch.setattr(key_watch, "pulse", pulse)
    watching = key_watch.Watch("web")
    pulse.checks.append(lambda: watching.trouble)
    watching.look()
    before = pulse.complaints()
    another = KeyCanary.objects.create(
        setting="SEALING_KEYS", key_id="k2", value=canaries.canary(NEW)
    )
    watching.look()
    watching.look()
    meanwhile = pulse.complaints()
    another.delete()
    watching.look()

    assert before == []
    [reason] = meanwhile
    assert reason.startswith("SEALING_KEYS: expected also the key 'k2', which this database's rows")
    assert pulse.complaints() == []
    assert [record.event for record in caplog.records] == ["keys_differ", "keys_agree_again"]


def test_an_outage_of_the_database_is_no_wrong_key(messaging, monkeypatch):
    messaging(SEALING_KEYS=BEFORE)
    watching = key_watch.Watch("web")

    def unavailable():
        raise OperationalError

    with monkeypatch.context() as its:
        its.setattr(canaries, "compare", unavailable)
        watching.look()

    assert watching.trouble == ""


@pytest.mark.parametrize("command", ["consume_events", "relay_outbox"])
def test_a_running_process_stops_a_rotation_until_it_ends(start, messaging, command):
    process = start(command)
    process.until_ready()
    eventually(KeyHolder.objects.exists)
    messaging(SEALING_KEYS={"k2": NEW, **BEFORE, "k0": b"0" * 32})
    with pytest.raises(rotation.KeysDiffer, match=r"student_service \w+ \(process \d+ on "):
        call_command("rotate_keys", stdout=io.StringIO())
    process.stop()

    assert not KeyHolder.objects.exists()


def test_a_guarded_process_reports_its_keys_while_it_runs(run):
    process = run("guarded")
    process.until_ready()
    [holder] = eventually(lambda: list(KeyHolder.objects.all()))

    assert holder.process.startswith("a guarded process (process ")
    assert (holder.seals_with, sorted(holder.keys)) == (
        "k1",
        ["SEALING_KEYS k0", "SEALING_KEYS k1"],
    )
