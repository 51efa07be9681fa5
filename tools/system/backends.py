"""The servers that both services use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .database_files import url_of


@dataclass(frozen=True, kw_only=True)
class Backends:
    """The databases, the broker and the mail server of one running system."""

    payment_database_url: str
    student_database_url: str
    broker_url: str
    celery_broker_url: str = ""
    """Empty: `broker_url`. The embedded broker needs a second file."""
    prefix: str = ""
    """Prefix of every exchange and queue name, so that several systems can share a broker."""
    email_url: str = ""
    """Empty: the mail catcher."""

    @classmethod
    def embedded(cls, folder: Path) -> Backends:
        folder = folder.resolve()
        return cls(
            payment_database_url=url_of(folder / "payment.sqlite3"),
            student_database_url=url_of(folder / "student.sqlite3"),
            broker_url=url_of(folder / "broker.sqlite3"),
            celery_broker_url=url_of(folder / "celery.sqlite3"),
        )

    def database_url(self, service: str) -> str:
        """The database of `payment_service` or `student_service`."""
        return {
            "payment_service": self.payment_database_url,
            "student_service": self.student_database_url,
        }[service]
