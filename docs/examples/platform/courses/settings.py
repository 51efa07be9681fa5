"""A learning platform, as small as it can be: no database, and one page that needs a code."""

import os

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "courses.urls"
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        # The default of 300 would forget people, who would then be out while the service is away.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
USE_TZ = True

ACCESS_URL = os.environ["ACCESS_URL"]
ACCESS_KEY = os.environ["ACCESS_KEY"]
ACCESS_PLAN = "gold"
ACCESS_FRESH = float(os.environ.get("ACCESS_FRESH", "60"))
"""Seconds for which an answer is not asked for again."""
ACCESS_GRACE = float(os.environ.get("ACCESS_GRACE", "3600"))
"""Seconds from the last answer for which somebody stays in while the service is away."""
