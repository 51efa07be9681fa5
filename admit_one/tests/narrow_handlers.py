"""A handler whose own write is refused by the database, for the tests of real processes."""

from django.db import connection

from tests.contract.topology import STUDENT
from tests.handlers import record


def into_a_narrow_column(messages):
    record(messages)
    if any(message.data.user_id == "wide" for message in messages):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tests_effect SET user_id = %s", ["x" * 65])


HANDLERS = dict.fromkeys(STUDENT.handles, into_a_narrow_column)
