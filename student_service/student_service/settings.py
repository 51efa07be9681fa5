"""The student service's settings. Those read from the environment are in .env.example."""

from typing import Annotated

from admit_one.environment import Key, OptionalKey, whole
from admit_one.settings import *
from admit_one.web.settings import *
from admit_one.webhooks.settings import *

from .mail_settings import MailEnvironment


class StudentEnvironment(MailEnvironment, WebhookEnvironment, ApiEnvironment, ServiceEnvironment):
    CODE_LOOKUP_KEY: Key
    """Makes the keyed hashes by which codes and recipients are looked up."""
    CODE_LOOKUP_KEY_NEXT: OptionalKey = None
    """The key that will replace it; `manage.py rotate_keys` rehashes the rows."""
    GRANTS_AN_HOUR: Annotated[int, whole(0, 1_000_000)] = 500
    """Grants (a code with its address) that reconciliations get in one hour; others wait.

    Enough for what a fail-over of the payment side may lose: two minutes at four payments a second.
    """


environment = StudentEnvironment.read()

SECRET_KEY = environment.SECRET_KEY
ALLOWED_HOSTS = environment.ALLOWED_HOSTS
DATABASES = environment.databases
LOGGING = environment.logging
SEALING_KEYS = environment.SEALING_KEYS
SECURE_HSTS_SECONDS = environment.HSTS_SECONDS
API_DOCS = environment.API_DOCS == "on"
API_RATE_PER_KEY = environment.API_RATE_PER_KEY
API_RATE_PER_ADDRESS = environment.API_RATE_PER_ADDRESS
LIMITS_URL = environment.LIMITS_URL
PROBLEM_TYPES = environment.PROBLEM_TYPES

INSTALLED_APPS = [
    *API_APPS,
    *MESSAGING_APPS,
    *WEBHOOKS_APPS,
    "admit_one.web_process",
    "access_codes",
]
MIDDLEWARE = [*MIDDLEWARE, "access_codes.views.hidden.hide_codes"]
ROOT_URLCONF = "student_service.urls"
SPECTACULAR_SETTINGS |= {
    "TITLE": "Admit One: student service",
    "DESCRIPTION": "Says whether an access code lets somebody in, counts its uses, and lets "
    "operators suspend, replace, revoke and mail it.",
    "TAGS": [
        {"name": "access-codes", "description": "Codes: whether they let in, and what they are."},
        {"name": "access", "description": "Admissions: whether they still hold."},
        {"name": "webhooks", "description": "What happens to codes, sent to a URL of yours."},
    ],
}

MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "student_service",
    "CELERY_APP": "student_service.celery.app",
    "WIRING": "access_codes.wiring",
    **environment.messaging,
}
TASKS_BROKER_URL = environment.TASKS_BROKER_URL

WEBHOOK_ALLOWED_NETWORKS = environment.WEBHOOK_ALLOWED_NETWORKS
WEBHOOK_EVENTS = (
    "access.redeemed",
    "access.revoked",
    "access.suspended",
    "access.reinstated",
    "access.expired",
    "access.replaced",
)

CODE_LOOKUP_KEY = environment.CODE_LOOKUP_KEY
CODE_LOOKUP_KEY_NEXT = environment.CODE_LOOKUP_KEY_NEXT

if environment.EMAIL_URL:
    EMAIL_HOST = environment.EMAIL_URL.host
    EMAIL_PORT = environment.EMAIL_URL.port
    EMAIL_HOST_USER = environment.EMAIL_URL.user
    EMAIL_HOST_PASSWORD = environment.EMAIL_URL.password
    EMAIL_USE_TLS = environment.EMAIL_URL.tls
    EMAIL_USE_SSL = environment.EMAIL_URL.ssl
# Not EMAIL_BACKEND: an empty one is our own SMTP, which is no backend of Django's.
MAIL_BACKEND = environment.EMAIL_BACKEND
MAIL_WEBHOOKS = environment.MAIL_WEBHOOKS
ANYMAIL = environment.anymail
EMAIL_TIMEOUT = environment.EMAIL_TIMEOUT
EMAIL_ACCEPT_TIMEOUT = environment.EMAIL_ACCEPT_TIMEOUT
EMAIL_CONNECTIONS = environment.EMAIL_CONNECTIONS
EMAIL_HELO_NAME = environment.EMAIL_HELO_NAME
DEFAULT_FROM_EMAIL = environment.sender
MAIL_WHEN_UNKNOWN = environment.MAIL_WHEN_UNKNOWN
MAIL_DAILY_CAP = environment.MAIL_DAILY_CAP
TEST_MAIL_ADDRESSES = environment.TEST_MAIL_ADDRESSES
MAIL_SHOP_NAME = environment.shop_name
MAIL_REPLY_TO = environment.MAIL_REPLY_TO
MAIL_SUPPORT = environment.MAIL_SUPPORT
MAIL_CODE_URL = environment.MAIL_CODE_URL
MAIL_LANGUAGE = environment.MAIL_LANGUAGE
MAIL_TEMPLATES = environment.MAIL_TEMPLATES
EXPIRING_SOON_DAYS = environment.EXPIRING_SOON_DAYS
GRANTS_AN_HOUR = environment.GRANTS_AN_HOUR
