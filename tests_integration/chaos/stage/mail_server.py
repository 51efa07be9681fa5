"""The mail catcher with moods: `python -m tests_integration.chaos.stage.mail_server FOLDER …`

FOLDER/mood holds the mood of the hour, and FOLDER/withheld grows by a byte with each mail that
was taken without a yes. All other arguments are the catcher's own.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.mail_catcher.__main__ import Sink, catch
from tools.mail_catcher.mailbox import Mailbox

LATE_SECONDS = 3.0
"""Longer than anybody waits for the yes (EMAIL_TIMEOUT is 2 under chaos)."""


class Moods:
    """What the mail server does to its clients, as files: a killed server keeps its mood."""

    NORMAL, TEMPFAIL, LATE, HANG_UP = "normal", "tempfail", "late", "hang up"

    def __init__(self, folder: Path) -> None:
        self._mood, self._withheld = folder / "mood", folder / "withheld"

    @property
    def mood(self) -> str:
        return self._mood.read_text() if self._mood.exists() else self.NORMAL

    def become(self, mood: str) -> None:
        partial_file = self._mood.with_suffix(".partial")
        partial_file.write_text(mood)
        partial_file.replace(self._mood)

    @property
    def withheld(self) -> int:
        """Mails that were taken without a yes."""
        return self._withheld.stat().st_size if self._withheld.exists() else 0

    def withhold(self) -> None:
        with self._withheld.open("ab") as file:
            file.write(b".")


class MoodySink(Sink):
    def __init__(self, mailbox: Mailbox, moods: Moods) -> None:
        super().__init__(mailbox)
        self._moods = moods

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mood = self._moods.mood
        if mood == Moods.TEMPFAIL:
            return "451 4.3.0 not now"
        if mood != Moods.NORMAL:
            self._moods.withhold()
        answer = await super().handle_DATA(server, session, envelope)
        if mood == Moods.LATE:
            await asyncio.sleep(LATE_SECONDS)
        elif mood == Moods.HANG_UP and server.transport is not None:
            server.transport.close()
        return answer


def main() -> None:
    folder, smtp_port, http_port = sys.argv[1:]
    sink = partial(MoodySink, moods=Moods(Path(folder)))
    asyncio.run(catch(Mailbox(Path(folder) / "mails"), int(smtp_port), int(http_port), sink))


if __name__ == "__main__":
    main()
