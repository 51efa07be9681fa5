"""What happens to a message after an attempt: each case of the table in `decide`."""

from __future__ import annotations

import re

import pytest
from admit_one.contract.errors import Malformed, Rejected, Transient, UnknownEvent
from admit_one.database.outage import NotNow
from admit_one.messaging.failure_policy import REQUEUE_AFTER, Decision, History, decide
from django.db import DataError

BUG = ValueError("no such plan")
REJECTED = Rejected(None, "no such subscription")

IN_A_BATCH = History(raised=True, alone=False)
ALONE = History(raised=True)
LAST = History(raised=True, last_attempt=True)
RETURNED = History()
RETURNED_LAST = History(last_attempt=True)
ALIKE = History(raised=True, too_many_alike=True)
ALIKE_STOPPING = History(raised=True, too_many_alike=True, stopping=True)
ALIKE_HELD = History(raised=True, too_many_alike=True, held=REQUEUE_AFTER + 1)

CASES = {
    "handled": (None, RETURNED, Decision.ACK),
    "handled in a batch": (None, IN_A_BATCH, Decision.ACK),
    "handled at the last attempt": (None, LAST, Decision.ACK),
    "handled after many alike": (None, ALIKE_HELD, Decision.ACK),
    "database unavailable": (NotNow("unavailable"), ALONE, Decision.REQUEUE),
    "database unavailable in a batch": (NotNow("unavailable"), IN_A_BATCH, Decision.REQUEUE),
    "database unavailable at the last attempt": (NotNow("unavailable"), LAST, Decision.REQUEUE),
    "handler fails in a batch": (BUG, IN_A_BATCH, Decision.RETRY_ALONE),
    "handler raises a rejection in a batch": (REJECTED, IN_A_BATCH, Decision.RETRY_ALONE),
    "database error of one message in a batch": (DataError(), IN_A_BATCH, Decision.RETRY_ALONE),
    "handler fails alone": (BUG, ALONE, Decision.SET_ASIDE),
    "handler is not ready": (Transient(), ALONE, Decision.SET_ASIDE),
    "handler raises a rejection": (REJECTED, ALONE, Decision.SET_ASIDE),
    "database error of one message": (DataError(), ALONE, Decision.SET_ASIDE),
    "handler fails at the last attempt": (BUG, LAST, Decision.DEAD_LETTER),
    "too many alike": (BUG, ALIKE, Decision.HOLD),
    "too many alike at a stop": (BUG, ALIKE_STOPPING, Decision.REQUEUE),
    "too many alike for too long": (BUG, ALIKE_HELD, Decision.REQUEUE),
    "stopping": (BUG, History(raised=True, stopping=True), Decision.SET_ASIDE),
    "unreadable": (Malformed(), RETURNED, Decision.DEAD_LETTER),
    "rejected": (REJECTED, RETURNED, Decision.DEAD_LETTER),
    "no handler": (UnknownEvent(), RETURNED, Decision.SET_ASIDE),
    "no handler at the last attempt": (UnknownEvent(), RETURNED_LAST, Decision.DEAD_LETTER),
}


@pytest.mark.parametrize(("error", "history", "decision"), CASES.values(), ids=list(CASES))
def test_each_case_has_its_decision(error, history, decision):
    assert decide(error, history) == decision


def test_the_table_in_the_docstring_names_every_decision():
    named = set(re.findall(r"[A-Z]{3,}(?:_[A-Z]+)*$", decide.__doc__ or "", re.MULTILINE))

    assert named == {decision.name for decision in Decision}
    assert {decision for _, _, decision in CASES.values()} == set(Decision)
