"""A service of its own for the tests of the messaging app: the student's place in the topology."""

import os
import tempfile

from shared_contracts import environment

os.environ.setdefault("ENVIRONMENT", "development")
os.environ.setdefault("DATABASE_URL", f"sqlite:///{tempfile.gettempdir()}/messaging-tests.sqlite3")

SECRET_KEY = "only-for-tests-" + "x" * 32
USE_TZ = True
INSTALLED_APPS = ["shared_contracts.messaging", "tests"]
DATABASES = {"default": environment.database("DATABASE_URL")}
LOGGING = environment.logging_config("INFO")
MESSAGING = {
    "SERVICE": "student_service",
    "HANDLERS": "tests.handlers.HANDLERS",
    "BROKER_URL": "amqp://guest:guest@127.0.0.1:5672//",
    "SEALING_KEYS": {"k1": b"1" * 32, "k0": b"0" * 32},
}
