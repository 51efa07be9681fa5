"""What the web server runs."""

import os
import sys

from admit_one.logs import this_is
from admit_one.web import asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "student_service.settings")

this_is("student_service", "web")
application = asgi.application()

# They need Django's apps, which are ready only now.
from admit_one.messaging import conf  # noqa: E402
from admit_one.processes.description import describe  # noqa: E402
from admit_one.sealing import canaries  # noqa: E402

line = describe("student_service web", "says whether it lives", conf.current().BROKER_URL)
print(line, file=sys.stderr, flush=True)
canaries.guard()
