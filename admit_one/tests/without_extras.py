"""Settings of a service that has installed none of the optional packages: they cannot be imported.

DJANGO_SETTINGS_MODULE=tests.without_extras
"""

import sys
from importlib.abc import MetaPathFinder

OPTIONAL = {
    *("axes", "celery", "drf_spectacular", "redis", "rest_framework", "waitress", "whitenoise"),
}


class NotInstalled(MetaPathFinder):
    """Finds the optional packages first, and refuses them."""

    def find_spec(self, fullname, path, target=None):
        if fullname.partition(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


sys.meta_path.insert(0, NotInstalled())

from tests.settings import (  # noqa: E402, F401  (not before they are refused)
    BROKER_URL,
    DATABASES,
    LOGGING,
    MESSAGING,
    SEALING_KEYS,
    SECRET_KEY,
    USE_TZ,
)

INSTALLED_APPS = ["admit_one.acts", "admit_one.sealing", "admit_one.messaging", "tests"]
