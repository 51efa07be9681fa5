"""What the web server for operators runs, at a port that only they reach."""

import os
import sys

from shared_contracts.api import asgi
from shared_contracts.logs import this_is

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "student_service.operators.settings")

this_is("student_service", "operators")
application = asgi.application()

# They need Django's apps, which are ready only now.
from shared_contracts.messaging import keys  # noqa: E402
from shared_contracts.messaging.process import describe  # noqa: E402

print(describe("operators", "pages for operators"), file=sys.stderr, flush=True)
keys.guard()
