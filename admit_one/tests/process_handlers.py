"""Handlers that do what the user id of a message says, for the tests of real processes."""

import os
import sys
import time

from tests.contract.topology import STUDENT
from tests.handlers import record


def handle(messages):
    for message in messages:
        act, _, seconds = message.data.user_id.partition("-")
        if act == "kill":
            os._exit(9)
        if act == "fail":
            print("a message fails on request", file=sys.stderr, flush=True)
            raise ValueError("asked to fail")
        if act == "slow":
            time.sleep(float(seconds))
    record(messages)


HANDLERS = dict.fromkeys(STUDENT.handles, handle)
