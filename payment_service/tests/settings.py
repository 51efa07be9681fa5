"""The real settings, with defaults for tests where the environment has none."""

import base64
import os
import tempfile

os.environ.setdefault("ENVIRONMENT", "development")
os.environ.setdefault("SECRET_KEY", "only-for-tests-" * 3)
os.environ.setdefault("DATABASE_URL", f"sqlite:///{tempfile.gettempdir()}/unused.sqlite3")
os.environ.setdefault("BROKER_URL", "amqp://guest:guest@127.0.0.1:1//")  # nobody listens there
os.environ.setdefault("SEALING_KEYS", f"test:{base64.urlsafe_b64encode(b'k' * 32).decode()}")
os.environ.setdefault("ALLOWED_HOSTS", "testserver")

from payment_service.settings import *

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, because threads do not share an in-memory database.
    DATABASES["default"]["TEST"] = {
        "NAME": f"{tempfile.gettempdir()}/test_payment_{os.getpid()}.sqlite3"
    }
