"""What `startproject` writes, with one database from the environment."""

import os
from urllib.parse import urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path[1:],
        "HOST": _database.hostname,
        "PORT": _database.port,
        "USER": _database.username,
        "PASSWORD": _database.password or "",
    }
}
SECRET_KEY = "for this comparison alone"  # noqa: S105 - signs nothing
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
