"""Take every mail by SMTP, send none on, and show them on a page.

    python -m tools.mail_catcher --folder mails

It prints a line that ends in `mail ready` once both ports listen. SIGTERM or Ctrl-C stops it.

Exit codes: 0 it was stopped; 1 a port is taken; 2 an option is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.system.ports import LOCAL

from .mailbox import Mailbox
from .pages import page_server


class Sink:
    """What aiosmtpd calls for each mail: stored before the answer, as a mail server promises."""

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
    parser = argparse.ArgumentParser(
        prog="python -m tools.mail_catcher",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smtp-port", type=int, default=1025, help="for mail (default 1025)")
    parser.add_argument("--http-port", type=int, default=8025, help="the page (default 8025)")
    parser.add_argument("--folder", type=Path, required=True, help="where the mails are kept")
    parser.add_argument("--discard", action="store_true", help="count mails and keep none")
    options = parser.parse_args()
    mailbox = Mailbox(options.folder, discard=options.discard)
    asyncio.run(catch(mailbox, options.smtp_port, options.http_port))


if __name__ == "__main__":
    main()
