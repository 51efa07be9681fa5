"""Who acts on the command line."""

from __future__ import annotations

import getpass
import os


def login() -> str:
    """Who runs this, as the operating system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
