"""The student service's own Celery app."""

from admit_one.tasks.app import make_app

# A mail waits for servers most of its time, and a slow one holds no other.
app = make_app("student_service", at_once=2)
