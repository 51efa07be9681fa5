"""The argument parser of all tools."""

from __future__ import annotations

import argparse


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """A parser whose --help shows the description as written."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog, description=description, formatter_class=formatter)
