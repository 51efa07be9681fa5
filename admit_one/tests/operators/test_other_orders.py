"""Messages chosen, discarded and restored on the pages for operators; a held consumer released."""

from __future__ import annotations

import pytest
from admit_one.acts.models import Act

from tests.operators.steps import LIST, order, text
from tests.set_aside_rows import keep, states

pytestmark = pytest.mark.django_db(transaction=True)


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

    assert "for an hour, consumers set aside messages that fail with Transient" in said
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
