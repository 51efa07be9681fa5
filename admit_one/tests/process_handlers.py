"""Handlers that do what the user id of a message says, for the tests of real processes."""

import os
import time

from django.db import connection
from shared_contracts.topology import STUDENT

from tests.handlers import record


def handle(messages):
    for message in messages:
        act, _, seconds = message.data.user_id.partition("-")
        if act == "kill":
            os._exit(9)
        if act == "fail":
            raise ValueError("told to fail")
        if act == "slow":
            time.sleep(float(seconds))
    record(messages)


HANDLERS = dict.fromkeys(STUDENT.handles, handle)


def into_a_narrow_column(messages):
    record(messages)
    if any(message.data.user_id == "wide" for message in messages):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE tests_effect SET user_id = %s", ["x" * 65])


NARROW = dict.fromkeys(STUDENT.handles, into_a_narrow_column)
