"""What both services are connected to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The databases, the broker and the mail server of one running system."""

    payment_database_url: str
    student_database_url: str
    broker_url: str
    celery_broker_url: str = ""
    """Empty on RabbitMQ: the same broker. The embedded one needs a second file."""
    prefix: str = ""
    """Before every exchange and queue name, so that several systems can share a broker."""
    email_url: str = ""
    """Empty: the mail catcher, which is then one of the processes."""

    @classmethod
    def embedded(cls, folder: Path) -> Backends:
        """Files in `folder`, and nothing else."""
        folder = folder.resolve()
        return cls(
            payment_database_url=f"sqlite:///{folder / 'payment.sqlite3'}",
            student_database_url=f"sqlite:///{folder / 'student.sqlite3'}",
            broker_url=f"sqlite:///{folder / 'broker.sqlite3'}",
            celery_broker_url=f"sqlite:///{folder / 'celery.sqlite3'}",
        )

    def database_url(self, service: str) -> str:
        """The database of `payment_service` or `student_service`."""
        return {
            "payment_service": self.payment_database_url,
            "student_service": self.student_database_url,
        }[service]
