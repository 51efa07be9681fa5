"""The student service's settings. What differs between machines is in .env.example."""

from typing import Annotated, Literal

from admit_one.environment import Key, MailUrl, OptionalKey, Sender, whole
from admit_one.settings import *


class StudentEnvironment(ServiceEnvironment):
    CODE_LOOKUP_KEY: Key
    """Finds codes and recipients again without storing them in clear."""
    CODE_LOOKUP_KEY_NEXT: OptionalKey = None
    """The key that is to take its place; `manage.py rotate_keys` brings the rows over."""
    EMAIL_URL: MailUrl
    EMAIL_FROM: Sender
    EMAIL_TIMEOUT: Annotated[int, whole(1, 120)] = 8
    """Seconds that the mail server has for one mail; a worker that stops waits as long at most."""
    MAIL_WHEN_UNKNOWN: Literal["send_again", "ask"] = "send_again"
    """If nobody knows whether a mail was sent: risk a second one, or ask an operator."""
    MAIL_DAILY_CAP: Annotated[int, whole(1, 1_000)] = 20
    """Mails to one recipient in one day."""


environment = StudentEnvironment.read()

SECRET_KEY = environment.SECRET_KEY
ALLOWED_HOSTS = environment.ALLOWED_HOSTS
DATABASES = {"default": environment.DATABASE_URL}
LOGGING = environment.logging
SEALING_KEYS = environment.SEALING_KEYS

INSTALLED_APPS = [*MESSAGING_APPS, "admit_one.web_process", "access_codes"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
ROOT_URLCONF = "student_service.urls"

MESSAGING = {
    "CONTRACT": "shared_contracts",
    "SERVICE": "student_service",
    "CELERY_APP": "student_service.celery.app",
    "WIRING": "access_codes.wiring",
    **environment.messaging,
}
TASKS_BROKER_URL = environment.TASKS_BROKER_URL

CODE_LOOKUP_KEY = environment.CODE_LOOKUP_KEY
CODE_LOOKUP_KEY_NEXT = environment.CODE_LOOKUP_KEY_NEXT

EMAIL_HOST = environment.EMAIL_URL.host
EMAIL_PORT = environment.EMAIL_URL.port
EMAIL_HOST_USER = environment.EMAIL_URL.user
EMAIL_HOST_PASSWORD = environment.EMAIL_URL.password
EMAIL_USE_TLS = environment.EMAIL_URL.tls
EMAIL_USE_SSL = environment.EMAIL_URL.ssl
EMAIL_TIMEOUT = environment.EMAIL_TIMEOUT
DEFAULT_FROM_EMAIL = environment.EMAIL_FROM
MAIL_WHEN_UNKNOWN = environment.MAIL_WHEN_UNKNOWN
MAIL_DAILY_CAP = environment.MAIL_DAILY_CAP
