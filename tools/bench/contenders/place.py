"""The servers of the bare loop and of the textbook way, passed through the environment."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Self

TASK_QUEUES = ("payment.tasks", "student.tasks", "mail.tasks")
"""Celery declares an exchange of the same name for each of its queues."""

QUEUES = ("payment.inbox", "student.inbox", *TASK_QUEUES)
EXCHANGES = ("payment.events", "student.events", *TASK_QUEUES)
"""All names of both on the broker, without the prefix."""

WAITING = "SELECT count(*) FROM subscription WHERE access_code IS NULL"
HAS_CODE = "SELECT 1 FROM subscription WHERE id = %s AND access_code IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class ContenderPlace:
    payment_database: str
    student_database: str
    broker: str
    prefix: str
    mail: str = ""

    def as_environment(self) -> dict[str, str]:
        return {f"CONTENDER_{name.upper()}": value for name, value in asdict(self).items()}

    @classmethod
    def from_environment(cls) -> Self:
        return cls(
            **{name: os.environ[f"CONTENDER_{name.upper()}"] for name in cls.__dataclass_fields__}
        )
