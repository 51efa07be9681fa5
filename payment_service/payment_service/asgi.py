"""What the web server runs."""

import os
import sys

from shared_contracts.api import asgi
from shared_contracts.logs import this_is

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payment_service.settings")

this_is("payment_service", "web")
application = asgi.application()

# They need Django's apps, which are ready only now.
from shared_contracts.messaging import keys  # noqa: E402
from shared_contracts.messaging.process import describe  # noqa: E402

print(describe("web", "records subscriptions, shows their codes"), file=sys.stderr, flush=True)
keys.guard()
