"""The mail catcher with faults: `python -m tests_integration.chaos.stage.mail_server FOLDER …`

FOLDER/mode holds its current mode. FOLDER/withheld grows by one byte for each mail that was
accepted without a timely reply. The other arguments are the mail catcher's.
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
"""Longer than the worker waits (EMAIL_ACCEPT_TIMEOUT is 2 under chaos)."""


class Mode:
    """How the mail server behaves. Kept in files, so that it survives a kill."""

    NORMAL, TEMPFAIL, LATE, HANG_UP = "normal", "tempfail", "late", "hang up"

    def __init__(self, folder: Path) -> None:
        self._mode, self._withheld = folder / "mode", folder / "withheld"

    @property
    def now(self) -> str:
        return self._mode.read_text() if self._mode.exists() else self.NORMAL

    def switch_to(self, mode: str) -> None:
        partial_file = self._mode.with_suffix(".partial")
        partial_file.write_text(mode)
        partial_file.replace(self._mode)

    @property
    def withheld(self) -> int:
        """The number of mails that were accepted without a timely reply."""
        return self._withheld.stat().st_size if self._withheld.exists() else 0

    def count_withheld(self) -> None:
        with self._withheld.open("ab") as file:
            file.write(b".")


class FaultySink(Sink):
    def __init__(self, mailbox: Mailbox, mode: Mode) -> None:
        super().__init__(mailbox)
        self._mode = mode

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        mode = self._mode.now
        if mode == Mode.TEMPFAIL:
            return "451 4.3.0 not now"
        if mode != Mode.NORMAL:
            self._mode.count_withheld()
        answer = await super().handle_DATA(server, session, envelope)
        if mode == Mode.LATE:
            await asyncio.sleep(LATE_SECONDS)
        elif mode == Mode.HANG_UP and server.transport is not None:
            server.transport.close()
        return answer


def main() -> None:
    folder, smtp_port, http_port = sys.argv[1:]
    sink = partial(FaultySink, mode=Mode(Path(folder)))
    asyncio.run(catch(Mailbox(Path(folder) / "mails"), int(smtp_port), int(http_port), sink))


if __name__ == "__main__":
    main()
