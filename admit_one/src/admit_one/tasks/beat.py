"""Celery's scheduler, which reports an outage of the broker once, not for each task that is due."""

from __future__ import annotations

from typing import Any

from celery.beat import Scheduler, SchedulingError

from admit_one.masking import mask
from admit_one.processes.announcer import Announcer


class PatientScheduler(Scheduler):
    """Set as `beat_scheduler`. It is kept in memory: the schedule is code."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._announcer = Announcer()
        super().__init__(*args, **options)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a task that is due; if that fails, it is due again after its interval."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            self._announcer.trouble(
                "tasks_not_scheduled", "no task is scheduled: {error}", error=mask(str(error))
            )
        else:
            self._announcer.over("tasks_scheduled_again", "tasks are scheduled again")
