"""The student service's own Celery app."""

from admit_one.tasks import make_app

# Sending is mostly waiting: two at once keep a slow mail from blocking the others, and a third
# sends webhooks.
app = make_app("student_service", at_once=3)
