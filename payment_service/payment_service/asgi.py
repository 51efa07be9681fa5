"""What the web server runs."""

import os
import sys

from shared_contracts.api import asgi
from shared_contracts.messaging import keys
from shared_contracts.messaging.process import describe

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payment_service.settings")

application = asgi.application()
print(describe("web", "records subscriptions, shows their codes"), file=sys.stderr, flush=True)
keys.guard()
