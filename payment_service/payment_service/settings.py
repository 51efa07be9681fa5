"""The payment service's settings. Every value that differs between machines is in .env.example."""

from admit_one import environment

ENVIRONMENT = environment.one_of("ENVIRONMENT", ("production", "development"), "production")
DEBUG = False
SECRET_KEY = environment.secret("SECRET_KEY", min_length=32)
ALLOWED_HOSTS = environment.names("ALLOWED_HOSTS")
if not ALLOWED_HOSTS and ENVIRONMENT == "development":
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "admit_one.web",
    "admit_one.sealing",
    "admit_one.messaging",
    "subscriptions",
]
# No sessions and no cookies: a call brings its key, so there is nothing to forge (CSRF).
MIDDLEWARE = [
    "admit_one.web.request_ids.request_ids",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
APPEND_SLASH = False
ROOT_URLCONF = "payment_service.urls"
ASGI_APPLICATION = "payment_service.asgi.application"
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {"default": environment.database("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
"""Bytes of a request body. A subscription has a few hundred."""
LOGGING = environment.logging_config(environment.text("LOG_LEVEL", "INFO"))
# A caller's mistakes are told to the caller.
LOGGING["loggers"]["django.request"] = {"level": "ERROR"}

# The API page's own files, served by the web process itself: no internet, no collectstatic.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_SECONDS = 0 if ENVIRONMENT == "development" else 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # no CSRF middleware: there are no cookies
    "security.W008",  # no redirect to https: the key would have been sent in clear already
    "security.W021",  # preloading HSTS is the domain owner's choice
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["admit_one.web.api_keys.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["admit_one.web.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "admit_one.web.negotiation.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "admit_one.web.problems.answer",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Admit One: payment service",
    "DESCRIPTION": "Records paid subscriptions and shows their access codes once they came.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

BROKER_URL = environment.broker("BROKER_URL")
EMBEDDED = BROKER_URL.startswith("sqlite:")
TASKS_BROKER_URL = environment.broker("TASKS_BROKER_URL", None if EMBEDDED else BROKER_URL)
MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "payment_service",
    "WIRING": "subscriptions.wiring",
    "BROKER_URL": BROKER_URL,
    "BROKER_PREFIX": environment.text("BROKER_PREFIX", ""),
    "SEALING_KEYS": environment.sealing_keys("SEALING_KEYS"),
    "DECLARE_TOPOLOGY": EMBEDDED or ENVIRONMENT == "development",
    "HEALTH_PORT": environment.whole("HEALTH_PORT", 0, minimum=0, maximum=65_535),
    "HEALTH_ADDRESS": environment.text("HEALTH_ADDRESS", "127.0.0.1"),
}

RECONCILE_DAYS = environment.whole("RECONCILE_DAYS", 7, minimum=1, maximum=3_650)
"""How far back the daily comparison with the student side looks."""
RECONCILE_SETTLED_AFTER = environment.whole(
    "RECONCILE_SETTLED_AFTER",
    900,
    minimum=0 if ENVIRONMENT == "development" else 900,
    maximum=86_400,
)
"""Seconds after which what was paid must have its code; younger subscriptions are on their way."""
