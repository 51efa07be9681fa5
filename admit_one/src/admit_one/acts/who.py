"""Who acts on the command line."""

from __future__ import annotations

import getpass
import os
from argparse import ArgumentTypeError

LONGEST = 255
"""Characters that are kept of a name."""


def login() -> str:
    """The operating system's name for the user who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def person(text: str) -> str:
    """A person's name, as the argument of a command. Raises `ArgumentTypeError`."""
    if len(text) > LONGEST:
        raise ArgumentTypeError(f"expected a name of at most {LONGEST} characters")
    return text
