"""Run all static checks, and show every failure.

    make check                         all checks
    make check ARGS="types imports"    only these

Exit codes: 0 all passed; 1 a check failed, and its output says how to fix it;
2 no check has that name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from tools import command_line

from . import problems, words
from .system.backends import Backends
from .system.commands import ROOT, SERVICES
from .system.system import System

# A cache of our own: a home may be one that nobody can write to.
UV = [sys.executable, "-m", "uv", "--cache-dir", str(ROOT / "var" / "uv")]
MYPY = [sys.executable, "-m", "mypy", "--strict"]
EXPORT = ["export", "--frozen", "--all-packages", "--no-emit-workspace", "--no-header", "--quiet"]
REQUIREMENTS = ROOT / "requirements.txt"


@dataclass(frozen=True)
class Check:
    """`run` returns the problems, empty if there are none; `fix` says how to fix them."""

    run: Callable[[], str]
    fix: str


def ran(command: Sequence[str], cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a command; returns its output if it fails, else nothing."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout or f"exit code {done.returncode}" if done.returncode else ""


def module(*command: str, folders: Sequence[str] = (".",)) -> Callable[[], str]:
    """A check that runs a Python module in each of the folders."""

    def run() -> str:
        results = (ran([sys.executable, "-m", *command], ROOT / folder) for folder in folders)
        return "".join(results)

    return run


def types() -> str:
    """Run mypy with each folder's own settings, so that no service sees the other."""
    folders = {
        ROOT: ["tools", "tests_integration"],
        ROOT / "admit_one": ["src", "tests"],
        ROOT / "shared_contracts": ["src", "tests"],
        **{ROOT / service: ["."] for service in SERVICES},
    }
    # Each folder has its own "tests.settings", so each needs its own cache.
    cache = ROOT / "var" / "check" / "mypy"
    return "".join(
        ran([*MYPY, "--cache-dir", str(cache / folder.name), *paths], folder)
        for folder, paths in folders.items()
    )


def requirements() -> str:
    """Compare requirements.txt, which pip installs from, with uv.lock."""
    wanted = subprocess.run(
        [*UV, *EXPORT], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    diff = unified_diff(
        REQUIREMENTS.read_text().splitlines(), wanted.splitlines(), "requirements.txt", "uv.lock"
    )
    return "\n".join(diff)


def migrations() -> str:
    """Check that every change of a model has its migration."""
    folder = ROOT / "var" / "check"
    system = System(folder, Backends.embedded(folder))
    command = [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]
    return "".join(
        ran(command, ROOT / service, system.environment(service)) for service in SERVICES
    )


CHECKS = {
    "format": Check(module("ruff", "format", "--check", "."), ".venv/bin/ruff format ."),
    "lint": Check(module("ruff", "check", "."), ".venv/bin/ruff check --fix ."),
    "types": Check(types, "see the errors above"),
    "imports": Check(
        lambda: ran([str(Path(sys.executable).with_name("lint-imports"))]),
        "move the import; .importlinter has the rules",
    ),
    "words": Check(words.check, "use the new words; tools/words.toml lists them"),
    "problems": Check(problems.check, ".venv/bin/python -m tools.problems"),
    "lock": Check(lambda: ran([*UV, "lock", "--check"]), ".venv/bin/uv lock"),
    "requirements": Check(requirements, f".venv/bin/uv {' '.join(EXPORT)} -o {REQUIREMENTS.name}"),
    "migrations": Check(
        migrations, "manage.py makemigrations in the service, with its settings in the environment"
    ),
}


def main() -> None:
    parser = command_line.parser("make check", __doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(CHECKS))
    names = parser.parse_args().names or list(CHECKS)
    if unknown := [name for name in names if name not in CHECKS]:
        parser.error(f"expected {', '.join(CHECKS)}; got {', '.join(unknown)}")
    failed = [name for name in names if not _passes(name, CHECKS[name])]
    if failed:
        sys.exit(f"{len(failed)} of {len(names)} checks failed: {', '.join(failed)}")
    print(f"{len(names)} checks passed")


def _passes(name: str, check: Check) -> bool:
    problem = check.run()
    print(f"{'FAILED' if problem else 'ok':<7}{name}", flush=True)
    if problem:
        print(f"{problem.rstrip()}\n       to fix it: {check.fix}\n", flush=True)
    return not problem


if __name__ == "__main__":
    main()
