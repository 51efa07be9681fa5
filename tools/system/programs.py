"""Programs beside Python that single tests need."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def needed(name: str) -> str:
    """The path of a program that Debian's package of this name installs."""
    path = shutil.which(name)
    if path is None:
        missing(f"expected the program {name}; it is in the package {name}")
    return path


def missing(what: str) -> NoReturn:
    """Skip the test for the lack of this; in CI it is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
