"""The student service's own Celery app."""

import sys
from typing import Any

from admit_one.tasks import make_app
from celery import signals
from django.core.checks import run_checks

# One sends mails, one webhooks, and one does all else.
app = make_app("student_service", at_once=3)


@signals.import_modules.connect(sender=app, weak=False)
def _refuse_what_no_mail_survives(**_: Any) -> None:
    """Run the checks of mails, which Celery skips: its worker is who sends them."""
    messages = run_checks(tags=["mails"])
    for each in messages:
        sys.stderr.write(f"{each}\n")
    if any(each.is_serious() for each in messages):
        sys.exit(1)
