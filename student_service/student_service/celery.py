"""The student service's own Celery app: mails, sweeps and pruning."""

from admit_one.tasks.app import make_app

app = make_app(
    "student_service",
    at_once=2,  # a mail waits for servers most of its time, and a slow one holds no other
    beat_schedule={
        "student_service.send_pending_mails": 10,
        "student_service.prune": 3600,
    },
)
