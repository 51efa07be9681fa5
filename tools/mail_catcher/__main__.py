"""Accept every mail by SMTP, forward none, and show them on a page.

    python -m tools.mail_catcher --folder mails

Prints a line that ends in `mail ready` once both ports listen. SIGTERM or Ctrl-C stops it.

Exit codes: 0 it was stopped; 1 a port is taken; 2 an option is wrong.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools import command_line
from tools.system.ports import LOCAL

from .mailbox import Mailbox
from .pages import page_server


class Sink:
    """The handler for aiosmtpd: stores each mail before it accepts it."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self._mailbox.add(content if isinstance(content, bytes) else content.encode())
        return "250 Message accepted for delivery"


async def catch(
    mailbox: Mailbox, smtp_port: int, http_port: int, sink: Callable[[Mailbox], Sink] = Sink
) -> None:
    """Listen on both ports until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    smtp = await loop.create_server(
        lambda: SMTP(sink(mailbox), enable_SMTPUTF8=True, hostname="mail-catcher", loop=loop),
        LOCAL,
        smtp_port,
    )
    pages = page_server(mailbox, http_port)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    print(f"smtp://{LOCAL}:{smtp_port} http://{LOCAL}:{http_port} mail ready", flush=True)
    await stop.wait()
    smtp.close()
    pages.shutdown()


def main() -> None:
    parser = command_line.parser("python -m tools.mail_catcher", __doc__)
    parser.add_argument("--smtp-port", type=int, default=1025, help="SMTP port (default 1025)")
    parser.add_argument(
        "--http-port", type=int, default=8025, help="port of the page (default 8025)"
    )
    parser.add_argument("--folder", type=Path, required=True, help="where to keep the mails")
    parser.add_argument("--discard", action="store_true", help="count mails, but do not keep them")
    options = parser.parse_args()
    mailbox = Mailbox(options.folder, discard=options.discard)
    asyncio.run(catch(mailbox, options.smtp_port, options.http_port))


if __name__ == "__main__":
    main()
