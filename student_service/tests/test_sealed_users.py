"""Whom a code was issued for is sealed, and found by a keyed hash, at every step of a new key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from access_codes import admission, persons
from access_codes.admission import Reason
from access_codes.listing import Filters, page
from access_codes.models import AccessCode
from access_codes.models.sealing_users import seal_some
from admit_one.erasure.definition import Person
from admit_one.messaging.testing import an_envelope, deliver
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from shared_contracts.events import UserSubscribed

from tests.api import Api
from tests.test_admission import issued
from tests.test_rotate_keys import LOOKUP, LOOKUP_NEXT, SEALING, SEALING_NEXT, given

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["given"]

BEFORE, AFTER = "0012_erased_persons", "0015_no_user_id_in_clear"


def answers(user_id: str) -> tuple[int, set[Reason], set[str]]:
    """How many codes a list finds, what a question answers, and whom the rows name."""
    listed, _ = page(Filters(user_id=user_id), before=None, limit=10)
    rows = list(admission.with_state())
    reasons = {admission.decide(row, user_id=user_id) for row in rows}
    return len(listed), reasons, {row.user_id for row in rows}


def test_a_user_is_found_at_every_step_of_a_change_of_keys(given: Callable[..., None]) -> None:
    given(SEALING, LOOKUP)
    issued(user_id="ada")
    steps: list[Any] = [answers("ada")]
    given(SEALING_NEXT, LOOKUP, LOOKUP_NEXT)
    issued(user_id="ada")
    steps.append(answers("ada"))
    call_command("rotate_keys", stdout=StringIO())
    steps.append(answers("ada"))
    given(SEALING_NEXT, LOOKUP_NEXT)
    steps.append(answers("ada"))
    call_command("rotate_keys", stdout=StringIO())
    given({"k2": SEALING_NEXT["k2"]}, LOOKUP_NEXT)
    steps.append(answers("ada"))

    assert steps == [(1, {Reason.OK}, {"ada"})] + [(2, {Reason.OK}, {"ada"})] * 4
    assert answers("grace") == (0, {Reason.OTHER_USER}, {"ada"})


def test_a_person_is_found_by_the_user() -> None:
    row = issued(user_id="ada")
    issued(user_id="grace")

    assert persons.find(Person(user_ids=["ada"])).subjects == {str(row.pk): ""}


def test_a_code_has_never_the_hash_of_a_user() -> None:
    row = issued(user_id="ada")
    other = issued(user_id=row.code)

    assert bytes(other.user_hash or b"") != bytes(row.lookup_hash or b"")


def test_a_question_runs_one_statement_whoever_asks(
    platform: Api, django_assert_num_queries: Any
) -> None:
    code = issued(user_id="ada").code
    platform.validate(code)
    for user_id in ("ada", "grace"):
        with django_assert_num_queries(1):
            platform.validate(code, user_id=user_id)


@pytest.fixture
def migrated() -> Iterator[Callable[[str], Any]]:
    """Migrates to a name; returns the models as they were then."""

    def to(name: str) -> Any:
        executor = MigrationExecutor(connection)
        executor.migrate([("access_codes", name)])
        return executor.loader.project_state([("access_codes", name)]).apps

    yield to
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("access_codes"))


def test_users_that_were_in_clear_are_sealed_by_a_migration_that_may_stop(
    migrated: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = migrated(BEFORE).get_model("access_codes", "AccessCode")
    request = an_envelope(UserSubscribed)
    paid = {name: getattr(request.data, name) for name in ("amount", "currency", "occurred_at")}
    keys = [an_envelope(UserSubscribed).data.subscription_id for _ in range(3)]
    for number, key in enumerate(keys):
        old.objects.create(
            subscription_id=key,
            user_id=f"user-{number}",
            plan="gold",
            lookup_hash=bytes([number]),
            sealed_code=b"x",
            issued_at=request.time,
            **paid,
        )
    monkeypatch.setattr("access_codes.models.sealing_users.BATCH", 2)
    between = migrated("0013_columns_of_sealed_user_ids").get_model("access_codes", "AccessCode")
    with transaction.atomic():
        seal_some(between)  # and then it was stopped

    migrated(AFTER)

    assert [AccessCode.objects.get(pk=key).user_id for key in keys] == [
        "user-0", "user-1", "user-2"
    ]  # fmt: skip
    assert [persons.find(Person(user_ids=[f"user-{n}"])).subjects for n in range(3)] == [
        {str(key): ""} for key in keys
    ]


def test_an_old_event_for_another_user_is_refused() -> None:
    row = issued(user_id="ada")

    [outcome] = deliver(an_envelope(UserSubscribed, subscription_id=row.pk, user_id="grace"))

    assert "for another user" in str(outcome.error)
