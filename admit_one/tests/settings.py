"""A service of its own for the tests of the messaging app: the student's place in the topology.

The processes that the tests start read the same settings, with the environment that says
which database, broker prefix and wiring they are to use.
"""

import os
import tempfile
import uuid

from admit_one.operators.settings import *  # noqa: F403 (the pages of test_admin.py)

from admit_one import environment

TEST_DATABASE = f"admit_one_test_{uuid.uuid4().hex[:12]}"

os.environ.setdefault("ENVIRONMENT", "development")
os.environ.setdefault(
    "DATABASE_URL", f"sqlite:///{tempfile.gettempdir()}/{TEST_DATABASE}.unused.sqlite3"
)

SECRET_KEY = "only-for-tests-" + "x" * 32
USE_TZ = True
INSTALLED_APPS = [*OPERATORS_APPS, "admit_one.sealing", "admit_one.messaging", "tests"]  # noqa: F405
DATABASES = {"default": environment.database("DATABASE_URL")}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    # A file, as with the real service: threads and processes share it.
    TEST_DATABASE = f"{tempfile.gettempdir()}/{TEST_DATABASE}.sqlite3"
DATABASES["default"]["TEST"] = {"NAME": TEST_DATABASE}
LOGGING = environment.logging_config("INFO")
BROKER_URL = environment.broker("TEST_BROKER_URL", "amqp://guest:guest@127.0.0.1:5672//")
TASKS_BROKER_URL = BROKER_URL
MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "student_service",
    "WIRING": environment.text("TEST_WIRING", "tests.handlers"),
    "BROKER_URL": BROKER_URL,
    "BROKER_PREFIX": environment.text("BROKER_PREFIX", ""),
    "HEALTH_PORT": environment.whole("HEALTH_PORT", 0, minimum=0, maximum=65_535),
    "SEALING_KEYS": {"k1": b"1" * 32, "k0": b"0" * 32},
    "RETRY_DELAYS": tuple(map(int, environment.names("TEST_RETRY_DELAYS", "5,30,120,600"))),
}
