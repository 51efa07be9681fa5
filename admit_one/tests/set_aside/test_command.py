"""`manage.py set_aside`: what it shows of set-aside messages, and what it does with them."""

from __future__ import annotations

import io
import re

import pytest
from admit_one.acts.models import Act
from admit_one.contract.errors import Malformed, Transient
from admit_one.messaging.inbox import Received
from admit_one.messaging.management.commands import set_aside
from admit_one.messaging.models import SetAside
from admit_one.messaging.set_aside import acts, keeping
from admit_one.messaging.set_aside.groups import NoSuchGroup, named, short
from admit_one.messaging.testing import an_envelope
from admit_one.processes.stopping import Stop
from admit_one.sealing import canaries
from django.core.management import CommandError, call_command

from tests.contract.events import UserSubscribed
from tests.models import Effect
from tests.set_aside_rows import fail, keep, keep_unreadable, states

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def said(capsys):
    """Run `set_aside …`; what it writes."""

    def run(*words) -> str:
        capsys.readouterr()
        call_command("set_aside", *map(str, words))
        return str(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(capsys):
    """Run `set_aside …`, which does not do all it was asked; its exit code, and what it says."""

    def run(*words) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(CommandError) as caught:
            call_command("set_aside", *map(str, words))
        return caught.value.returncode, f"{capsys.readouterr().out}{caught.value}"

    return run


# list and show


def test_an_empty_list_says_so(said):
    assert said("list") == "nothing is set aside\n"


def test_the_list_shows_groups_with_examples_and_dead_letters_first(said):
    row = keep(3, error=Transient("no room for ada@example.com"), dead=False)
    keep_unreadable()

    head, dead, example, retrying, another = said("list").splitlines()

    assert head == "group   state       count  failed again  oldest (UTC)      cause"
    assert dead.split()[:3] == [short("Malformed: no end"), "dead", "1"]
    assert example.endswith("unreadable: no end")
    assert retrying.split()[:4] == [short("Transient"), "retrying", "3", "-"]
    assert another.split()[2] == f"{row.id},"
    assert another.endswith("user_subscribed: no room for a…@e….com")


def test_one_message_shows_everything_except_its_body_and_addresses(said):
    row = keep(error=Transient("no room for ada@example.com"), dead=False, suspect=True)

    text = said("show", row.id)

    assert "retrying (may have killed its consumer)" in text
    assert f"user_subscribed {row.event_id} from /payment_service" in text
    assert "Transient: no room for a…@e….com" in text
    assert "ada@example.com" not in text


def test_third_party_text_cannot_control_the_terminal(said):
    row = keep(error=Transient("\x1b[2Jgone \x9b31m\rover"))

    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said("show", row.id) + said("list"))


def test_an_unknown_number_is_reported(refused):
    assert refused("show", 99999) == (1, "no message 99999; `set_aside list` shows which there are")
    assert refused("replay", 99999)[0] == 1


@pytest.mark.parametrize("given", [2**63, "9" * 5_000, "-5", "1.0", "x"], ids=lambda g: str(g)[:9])
@pytest.mark.parametrize("verb", ["show", "replay"])
def test_an_invalid_message_number_is_refused(verb, given):
    with pytest.raises(CommandError, match=r"number of a message|unrecognized|required"):
        call_command("set_aside", verb, str(given))


def test_a_name_too_long_to_store_is_refused():
    row = keep()

    with pytest.raises(CommandError, match="at most 255 characters"):
        call_command("set_aside", "replay", str(row.id), "--by", "x" * 256)

    assert states() == ["dead"]


# groups


def test_a_prefix_of_its_short_name_selects_a_group():
    keep()
    keep_unreadable()

    assert named(short("Transient")[:4].upper()) == named("Transient") == "Transient"


def test_an_unknown_or_ambiguous_group_name_is_refused(monkeypatch):
    keep()
    keep_unreadable()

    with pytest.raises(NoSuchGroup, match="no group is called 'xyz'"):
        named("xyz")
    with pytest.raises(NoSuchGroup, match="no group"):
        named("")
    monkeypatch.setattr("admit_one.messaging.set_aside.groups.short", lambda _: "abc")
    with pytest.raises(NoSuchGroup, match="type more of it"):
        named("ab")


@pytest.mark.parametrize("words", [(), (1, "--all"), ("--all", "--group", "x")], ids=str)
def test_a_choice_must_be_made_in_exactly_one_way(refused, words):
    assert refused("replay", *words) == (2, "replay needs one of: ids, --group, --all")


@pytest.mark.parametrize("rate", [-1, "nan", "inf", "1e-9"])
def test_an_invalid_rate_is_refused(refused, rate):
    keep()

    assert refused("replay", "--all", "--rate", rate)[0] == 2
    assert states() == ["dead"]


# replay


def test_a_dry_run_shows_outcomes_with_examples_and_changes_nothing(said, handle):
    keep(5)
    handle(fail)
    unreadable = keep_unreadable()

    lines = said("replay", "--all", "--dry-run").splitlines()

    assert lines[0] == "6 of 6 messages tried and rolled back: nothing has changed"
    assert lines[1] == "        1  still unreadable  (Malformed: not JSON)"
    assert lines[2].startswith(f"           {unreadable.id}: ")
    assert "        5  would fail again  (ValueError in set_aside_rows.fail)" in lines
    assert "           and 2 more" in lines
    assert states() == ["dead"] * 6
    assert Act.objects.count() == 0


def test_a_dry_run_shows_each_outcome_on_request(said):
    row = keep(2)
    unreadable = keep_unreadable()

    lines = said("replay", "--all", "--dry-run", "--each").splitlines()

    assert lines[1:3] == [f"{n:>9}  would be applied" for n in (row.id - 1, row.id)]
    assert lines[3].startswith(f"{unreadable.id:>9}  still unreadable: the body is not JSON")
    assert "        2  would be applied" in lines


def test_a_dry_run_reports_broken_properties(said):
    body = an_envelope(UserSubscribed).to_json()
    message = Received.read(body, queue="student_service.inbox", broken="content_type: got 'x/y'")
    keeping.keep(message, Malformed("got 'x/y'"), dead=True)

    text = said("replay", "--all", "--dry-run")

    assert "1  still unreadable  (Malformed: content_type: got 'x/y')\n" in text
    assert "content_type: got 'x/y'" in text


def test_replaying_a_group_closes_it(said):
    keep(30)
    other = keep_unreadable()

    text = said("replay", "--group", short("Transient"), "--by", "ada", "--reason", "mended")

    assert text == "30 of 30 messages replayed\n       30  applied\n"
    assert SetAside.objects.get(state="dead").id == other.id
    assert Effect.objects.count() == 30
    acts = set(Act.objects.values_list("by", "reason", "result"))
    assert acts == {("ada", "mended", "applied")}


def test_a_message_that_fails_again_is_marked_with_its_history(refused, said, handle):
    row = keep()
    handle(fail)

    code, text = refused("replay", row.id, "--by", "ada", "--reason", "release 7")

    assert code == 1
    assert "not done: 1;" in text
    shown = said("show", row.id)
    assert "dead (replayed 1 x and failed again)" in shown
    assert "replay by ada, because: release 7: failed: no such plan" in shown
    assert "Transient: later" in shown
    assert said("list").splitlines()[1].split()[3] == "1"


def test_a_replay_that_stops_itself_says_how_to_continue(refused, handle):
    keep(40)
    handle(fail)

    code, text = refused("replay", "--all")

    assert code == 3
    assert "1 of 40 messages replayed" in text
    assert "1 of a batch of 1 failed again: 39 messages are unchanged" in text


def test_replaying_a_handled_message_requires_again_and_a_reason(said, refused):
    row = keep()
    said("replay", row.id)

    assert refused("replay", row.id)[0] == 1
    assert refused("replay", row.id, "--again")[0] == 1
    assert Effect.objects.count() == 1
    assert "1  applied" in said("replay", row.id, "--again", "--reason", "restored a backup")
    assert Effect.objects.count() == 2


def test_the_operator_defaults_to_the_operating_system_user(said, monkeypatch):
    monkeypatch.setenv("LOGNAME", "grace")
    said("replay", keep().id)

    assert Act.objects.get().by == "grace"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_progress_bar_and_clears_it(monkeypatch):
    monkeypatch.setattr(set_aside, "REDRAW", 0.0)
    keep(4)
    out, screen = io.StringIO(), Terminal()

    call_command("set_aside", "replay", "--all", stdout=out, stderr=screen)

    drawn = screen.getvalue().split("\r\x1b[K")
    assert drawn[2] == "[###############...............] 2 of 4, 0 not applied"
    assert drawn[-1] == ""
    assert out.getvalue() == "4 of 4 messages replayed\n        4  applied\n"


@pytest.mark.parametrize("words", [["--all"], ["--all", "--dry-run"]])
def test_a_replay_with_the_wrong_sealing_key_is_refused(refused, messaging, words):
    keep()
    canaries.check()
    messaging(SEALING_KEYS={"k1": b"2" * 32, "k0": b"0" * 32})

    code, text = refused("replay", *words)

    assert code == 1
    assert "SEALING_KEYS: expected the key 'k1'" in text
    assert (states(), Act.objects.count()) == (["dead"], 0)


def test_a_replay_without_work_says_so_and_names_what_retries_by_itself(said):
    assert said("replay", "--all") == "there is nothing to replay\n"

    keep(2)
    SetAside.objects.update(state="retrying")

    hint = "there is nothing to replay; 2 are retrying by themselves (now: --state retrying)\n"
    assert said("replay", "--all") == hint
    assert said("replay", "--all", "--state", "dead") == "there is nothing to replay\n"
    assert said("replay", "--all", "--dry-run") == hint


# discard and restore


def test_a_group_is_discarded_with_a_reason_and_restored(said, refused):
    keep(3)
    keep_unreadable()

    assert refused("discard", "--group", "Malformed: no end")[0] == 1
    assert states() == ["dead"] * 4
    text = said(
        "discard", "--group", short("Malformed: no end"), "--reason", "from a test of a third party"
    )
    assert text == "1 of 1 messages discarded\n"
    assert states() == ["dead", "dead", "dead", "discarded"]
    assert said("restore", "--all") == "1 of 1 messages restored\n"
    assert states() == ["dead"] * 4
    acts = list(Act.objects.order_by("id").values_list("action", "reason", "result"))
    assert acts == [("discard", "from a test of a third party", "done"), ("restore", "", "done")]


@pytest.mark.parametrize("verb", ["discard", "restore"])
def test_a_stop_ends_it_after_the_current_batch(refused, monkeypatch, verb):
    monkeypatch.setattr(acts, "BATCH", 2)
    keep(5)
    if verb == "restore":
        call_command("set_aside", "discard", "--all", "--reason", "bad")
    before = states()
    stop = Stop()
    stop.ask()
    monkeypatch.setattr(set_aside, "Stop", lambda: stop)

    code, text = refused(verb, "--all", "--reason", "bad")

    assert code == 3
    assert text.startswith(f"2 of 5 messages {verb}")
    assert states().count(before[0]) == 3


def test_a_rehearsed_discard_changes_nothing(said):
    row = keep()

    text = said("discard", row.id, "--reason", "bad", "--dry-run")

    assert text == "would discard 1 messages; nothing has changed\n"
    assert states() == ["dead"]


def test_a_closed_message_is_not_discarded(said, refused):
    row = keep()
    said("replay", row.id)

    assert refused("discard", row.id, "--reason", "bad")[0] == 1
    assert states() == ["replayed"]


def test_a_message_with_retries_left_can_be_discarded(said):
    row = keep(dead=False)

    said("discard", row.id, "--reason", "bad")

    row.refresh_from_db()
    assert (row.state, row.next_attempt_at) == ("discarded", None)


def test_the_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        call_command("set_aside", "--help")

    assert "manage.py set_aside replay --group 3f9a12 --dry-run" in capsys.readouterr().out
