"""What the web server runs."""

import os

from shared_contracts.api import asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payment_service.settings")

application = asgi.application()
