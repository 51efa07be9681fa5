"""A service of its own for the tests of the messaging app: the student's place in the topology.

The processes that the tests start read the same settings, with the environment that says
which database, broker prefix and wiring they are to use.
"""

import os
import tempfile
import uuid
from ipaddress import ip_network
from typing import Annotated

from admit_one.environment import BrokerUrl, DatabaseUrl, Environment, whole
from admit_one.operators.settings import *  # the pages for operators

from admit_one import logs

TEST_DATABASE = f"admit_one_test_{uuid.uuid4().hex[:12]}"

os.environ.setdefault("ENVIRONMENT", "development")
os.environ.setdefault(
    "DATABASE_URL", f"sqlite:///{tempfile.gettempdir()}/{TEST_DATABASE}.unused.sqlite3"
)


class TestEnvironment(Environment):
    DATABASE_URL: DatabaseUrl
    TEST_BROKER_URL: BrokerUrl = "amqp://guest:guest@127.0.0.1:5672//"
    TEST_WIRING: str = "tests.handlers"
    TEST_RETRY_DELAYS: str = "5,30,120,600"
    BROKER_PREFIX: str = ""
    HEALTH_PORT: Annotated[int, whole(0, 65_535)] = 0
    HEALTH_ADDRESS: str = "127.0.0.1"
    LOG_FORMAT: str = "line"


environment = TestEnvironment.read()

SECRET_KEY = "only-for-tests-" + "x" * 32
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one takes a second
USE_TZ = True
INSTALLED_APPS = [
    *OPERATORS_APPS,
    "admit_one.acts",
    "admit_one.sealing",
    "admit_one.messaging",
    "admit_one.web",
    "admit_one.webhooks",
    "tests",
]
WEBHOOK_EVENTS = ("thing.made", "thing.ended")
WEBHOOK_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
DATABASES = {"default": environment.DATABASE_URL}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    # A file, as with the real service: threads and processes share it.
    TEST_DATABASE = f"{tempfile.gettempdir()}/{TEST_DATABASE}.sqlite3"
DATABASES["default"]["TEST"] = {"NAME": TEST_DATABASE}
LOGGING = logs.configuration("INFO", environment.LOG_FORMAT)
BROKER_URL = environment.TEST_BROKER_URL
TASKS_BROKER_URL = BROKER_URL
SEALING_KEYS = {"k1": b"1" * 32, "k0": b"0" * 32}
MESSAGING = {
    "CONTRACT": "tests.contract",
    "SERVICE": "student_service",
    "WIRING": environment.TEST_WIRING,
    "BROKER_URL": BROKER_URL,
    "BROKER_PREFIX": environment.BROKER_PREFIX,
    "HEALTH_PORT": environment.HEALTH_PORT,
    "HEALTH_ADDRESS": environment.HEALTH_ADDRESS,
    "WIRE_KEYS_OPTIONAL": True,
    "RETRY_DELAYS": tuple(map(int, environment.TEST_RETRY_DELAYS.split(","))),
}
