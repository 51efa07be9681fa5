"""Writes docs/problems.md, which joins the pages that the API serves about its problems.

    python -m tools.problems

The sources are the files `problems.md` of the library and of the services; `make check` compares.
"""

from __future__ import annotations

from difflib import unified_diff

from .system.commands import ROOT, SERVICES

PAGE = ROOT / "docs" / "problems.md"
LIBRARY = ROOT / "admit_one" / "src" / "admit_one"


def joined() -> str:
    """What the page is to be: the library's problems, then those of each service."""
    apps = [path for name in SERVICES for path in sorted((ROOT / name).glob("*/problems.md"))]
    library = [LIBRARY / app / "problems.md" for app in ("web", "webhooks")]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*library, *apps])


def check() -> str:
    """How the page differs from its sources; empty if it does not."""
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    diff = unified_diff(written.splitlines(), joined().splitlines(), PAGE.name, "its sources")
    return "\n".join(diff)


if __name__ == "__main__":
    PAGE.write_text(joined(), encoding="utf-8")
