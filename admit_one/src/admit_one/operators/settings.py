"""What the pages for operators need beside a service's own settings."""

from datetime import timedelta

from admit_one.environment import development

OPERATORS_APPS = [
    "admit_one.operators",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
]
MIDDLEWARE = [
    "admit_one.web.metrics.measured",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "admit_one.web.health.OwnHosts",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "admit_one.operators.urls"
APPEND_SLASH = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
"""Bytes of a form."""
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The admin's own files, served by the process itself: no internet, no collectstatic.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 12},
        "CommonPasswordValidator": {},
    }.items()
]
# Five failed logins lock a name and address for an hour.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(hours=1)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username", "ip_address"]
AXES_HANDLER = "admit_one.operators.logins.LoginLimits"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False
AXES_DISABLE_ACCESS_LOG = False

SESSION_COOKIE_AGE = 8 * 3_600
"""Seconds: a working day."""
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# Lax, so that a link to a group opens from a chat; orders are forms with a token.
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not development()
"""Browsers send secure cookies only over https and to localhost."""
X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_SECONDS = 0
SILENCED_SYSTEM_CHECKS = [
    "security.W004",  # HSTS is the job of the proxy that terminates TLS
    "security.W008",  # so is the redirect to https
]
