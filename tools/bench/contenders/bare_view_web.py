"""Django REST framework as it comes: no terms, no suspensions, no reasons.

python -m waitress tools.bench.contenders.bare_view_web:application
"""

from __future__ import annotations

import os
import secrets
import sys

from admit_one.environment.database_urls import database
from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.configure(
    ROOT_URLCONF="tools.bench.contenders.bare_view_urls",
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    INSTALLED_APPS=["rest_framework"],
    DATABASES={"default": database(os.environ["DATABASE_URL"])},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
sys.setswitchinterval(0.0005)  # as our web process does

application = get_wsgi_application()
