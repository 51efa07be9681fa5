from __future__ import annotations

from payment_service.celery import app


def test_every_scheduled_task_exists() -> None:
    app.loader.import_default_modules()

    tasks = (
        *("request_again", "resend_again", "suspend_overdue", "reconcile", "prune"),
        *("report_ended", "send_webhooks"),
        *("erase_requested", "request_erasures_again"),
        *("handle_provider_events", "prune_provider_events"),
    )
    names = {f"payment_service.{task}" for task in tasks}
    assert set(app.conf.beat_schedule) == names
    assert names <= set(app.tasks)
