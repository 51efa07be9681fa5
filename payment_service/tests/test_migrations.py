"""Migrations that change the table of subscriptions work on rows of before, and may be repeated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from admit_one.database.changes import AddIndex, RemoveIndex
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django.utils import timezone
from subscriptions.models import Subscription

from tests.factories import a_subscription

pytestmark = pytest.mark.django_db(transaction=True)

APP, TABLE = "subscriptions", Subscription._meta.db_table
FILTERS = "0008_an_index_for_each_filter"


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, TABLE)
    return {name for name, each in constraints.items() if each["index"]}


def migrate(name: str) -> ProjectState:
    executor = MigrationExecutor(connection)
    return executor.migrate([(APP, name)])


@pytest.fixture
def newest() -> Iterator[str]:
    """The name of the last migration, which is applied again in the end."""
    leaf: str = MigrationExecutor(connection).loader.graph.leaf_nodes(APP)[0][1]
    yield leaf
    migrate(leaf)


def test_a_row_of_before_counts_as_changed_when_it_was_migrated(newest: str) -> None:
    row = a_subscription()
    began = timezone.now().replace(microsecond=0)
    complete = indexes()
    before = migrate("0006_test_subscriptions").apps.get_model(APP, "Subscription")

    assert "updated_at" not in {field.name for field in before._meta.get_fields()}
    migrate(newest)
    at_first = Subscription.objects.get(pk=row.pk).updated_at
    Subscription.objects.update(plan="silver")

    assert at_first >= began
    assert Subscription.objects.get(pk=row.pk).updated_at > at_first
    assert indexes() == complete


def operations() -> list[Any]:
    loader = MigrationExecutor(connection).loader
    return list(loader.get_migration(APP, FILTERS).operations)


def repeat(operation: AddIndex | RemoveIndex) -> None:
    """Do it again, as if the migration had been cut short before it was recorded."""
    before = MigrationExecutor(connection).loader.project_state((APP, "0007_updated_at"))
    after = MigrationExecutor(connection).loader.project_state((APP, FILTERS))
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards(APP, editor, before, after)


def test_a_migration_of_indexes_that_was_cut_short_is_repeated() -> None:
    complete = indexes()
    for operation in operations()[:4]:
        repeat(operation)

    assert indexes() == complete


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite makes an index or none")
def test_an_index_that_was_left_without_all_rows_is_made_again() -> None:
    [add] = [
        each
        for each in operations()
        if getattr(each, "index", None) and each.index.name == "subscription_updated"
    ]
    this = "WHERE indexrelid = 'subscription_updated'::regclass"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE pg_index SET indisvalid = false {this}")
        repeat(add)
        cursor.execute(f"SELECT indisvalid, current_setting('lock_timeout') FROM pg_index {this}")

        assert cursor.fetchall() == [(True, "5s")]
