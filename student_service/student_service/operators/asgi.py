"""What the web server for operators runs, at a port that only they reach."""

import os
import sys

from admit_one.logs import this_is
from admit_one.web import asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "student_service.operators.settings")

this_is("student_service", "operators")
application = asgi.application()

# They need Django's apps, which are ready only now.
from admit_one.messaging import conf  # noqa: E402
from admit_one.processes.description import describe  # noqa: E402
from admit_one.sealing import canaries  # noqa: E402

line = describe("student_service operators", "pages for operators", conf.current().BROKER_URL)
print(line, file=sys.stderr, flush=True)
canaries.guard()
