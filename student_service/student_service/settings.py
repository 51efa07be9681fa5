"""The student service's settings. Every value that differs between machines is in .env.example."""

from email.utils import parseaddr

from django.core.exceptions import ImproperlyConfigured

from admit_one import environment

ENVIRONMENT = environment.one_of("ENVIRONMENT", ("production", "development"), "production")
DEBUG = False
SECRET_KEY = environment.secret("SECRET_KEY", min_length=32)
ALLOWED_HOSTS = environment.names("ALLOWED_HOSTS")
if not ALLOWED_HOSTS and ENVIRONMENT == "development":
    ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "admit_one.sealing",
    "admit_one.messaging",
    "access_codes",
]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "student_service.urls"
ASGI_APPLICATION = "student_service.asgi.application"
TEMPLATES = [
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True},
]
DATABASES = {"default": environment.database("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = environment.logging_config(environment.text("LOG_LEVEL", "INFO"))

BROKER_URL = environment.broker("BROKER_URL")
EMBEDDED = BROKER_URL.startswith("sqlite:")
TASKS_BROKER_URL = environment.broker("TASKS_BROKER_URL", None if EMBEDDED else BROKER_URL)
MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "student_service",
    "WIRING": "access_codes.wiring",
    "BROKER_URL": BROKER_URL,
    "BROKER_PREFIX": environment.text("BROKER_PREFIX", ""),
    "SEALING_KEYS": environment.sealing_keys("SEALING_KEYS"),
    "DECLARE_TOPOLOGY": EMBEDDED or ENVIRONMENT == "development",
    "HEALTH_PORT": environment.whole("HEALTH_PORT", 0, minimum=0, maximum=65_535),
    "HEALTH_ADDRESS": environment.text("HEALTH_ADDRESS", "127.0.0.1"),
}

CODE_LOOKUP_KEY = environment.key("CODE_LOOKUP_KEY")
"""Finds codes and recipients again without storing them in clear."""
CODE_LOOKUP_KEY_NEXT = environment.optional_key("CODE_LOOKUP_KEY_NEXT")
"""The key that is to take its place; `manage.py rotate_keys` brings the rows over."""

mail_server = environment.email("EMAIL_URL")
EMAIL_BACKEND = mail_server["EMAIL_BACKEND"]
EMAIL_HOST = mail_server["EMAIL_HOST"]
EMAIL_PORT = mail_server["EMAIL_PORT"] or 25
EMAIL_HOST_USER = mail_server["EMAIL_HOST_USER"] or ""
EMAIL_HOST_PASSWORD = mail_server["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS = mail_server.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = mail_server.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = environment.whole("EMAIL_TIMEOUT", 8, minimum=1, maximum=120)
"""Seconds that the mail server has for one mail; a worker told to stop waits as long at most."""
DEFAULT_FROM_EMAIL = environment.text("EMAIL_FROM")
if "@" not in parseaddr(DEFAULT_FROM_EMAIL)[1] or not DEFAULT_FROM_EMAIL.isascii():
    raise ImproperlyConfigured("EMAIL_FROM: expected an address in ASCII, like Name <a@b.example>")
MAIL_WHEN_UNKNOWN = environment.one_of("MAIL_WHEN_UNKNOWN", ("send_again", "ask"), "send_again")
"""What to do when nobody knows whether a mail was sent: risk a second one, or ask an operator."""
MAIL_DAILY_CAP = environment.whole("MAIL_DAILY_CAP", 20, minimum=1, maximum=1_000)
