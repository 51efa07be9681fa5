"""What a command says when the database cannot answer, in place of a traceback."""

from __future__ import annotations

from django.db import Error, InterfaceError, OperationalError

from admit_one.masking import mask

UNAVAILABLE = 69
"""The exit code, EX_UNAVAILABLE of sysexits.h; no command has another use for it."""

NOT_MIGRATED = {"42P01", "42703"}
"""PostgreSQL's codes for an unknown table and an unknown column (its appendix A)."""

NOT_MIGRATED_ON_SQLITE = ("no such table", "no such column")

READ_ONLY = "25006"
"""Of a server that is no longer the primary; Django makes an InternalError of it."""


def explained(error: Error) -> str:
    """One line about missing tables, or a server that cannot answer now.

    Empty for any other error: it is ours, and needs its traceback.
    """
    code = getattr(error.__cause__, "sqlstate", None)
    text = mask(str(error).strip().partition("\n")[0])
    if code in NOT_MIGRATED or text.startswith(NOT_MIGRATED_ON_SQLITE):
        return f"the database is not that of this version: run manage.py migrate ({text})"
    if code == READ_ONLY or isinstance(error, OperationalError | InterfaceError):
        return f"the database cannot answer: {text}"
    return ""
