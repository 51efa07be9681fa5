"""A wiring whose keyring is none, for the test of a process that cannot compare its keys."""

from tests.handlers import HANDLERS

__all__ = ["HANDLERS", "KEYRING"]

KEYRING = "no keyring"
