"""Mails in a folder, one numbered `.eml` file each."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from functools import lru_cache
from pathlib import Path

Mail = dict[str, str]
"""A parsed mail: id, from, to, subject, message_id, text, html, received_at."""


class Mailbox:
    """The mails of one folder. With `discard`, they are only counted."""

    def __init__(self, folder: Path, *, discard: bool = False) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._discard = discard
        self.count = max((int(path.stem) for path in folder.glob("*.eml")), default=0)

    def add(self, content: bytes) -> None:
        """Store a mail atomically."""
        number = self.count + 1
        if not self._discard:
            partial = self._folder / f"{number:06}.partial"
            partial.touch(mode=0o600)  # before it holds a code
            partial.write_bytes(content)
            partial.rename(partial.with_suffix(".eml"))
        self.count = number

    def mails(self, after: int = 0) -> list[Mail]:
        """The mails after number `after`, newest first.

        Found by number, not by listing the folder: while files are added, a listing may contain a
        file but not an earlier one, which a client that continues after it would then miss.
        """
        paths = (self._folder / f"{number:06}.eml" for number in range(self.count, after, -1))
        return [read(path) for path in paths if path.exists()]

    def mail(self, mail_id: str) -> Mail | None:
        path = self._path(mail_id)
        return read(path) if path else None

    def source(self, mail_id: str) -> bytes | None:
        """The mail as received."""
        path = self._path(mail_id)
        return path.read_bytes() if path else None

    def _path(self, mail_id: str) -> Path | None:
        path = self._folder / f"{mail_id}.eml"
        return path if mail_id.isdecimal() and path.exists() else None


@lru_cache(maxsize=10_000)
def read(path: Path) -> Mail:
    """Parse a mail. Cached, since a file never changes."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    bodies = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    return {
        "id": path.stem,
        "from": str(message["From"] or ""),
        "to": str(message["To"] or ""),
        "subject": str(message["Subject"] or ""),
        "message_id": str(message["Message-ID"] or ""),
        "text": str(bodies["plain"].get_content()) if bodies["plain"] else "",
        "html": str(bodies["html"].get_content()) if bodies["html"] else "",
        "received_at": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(),
    }
