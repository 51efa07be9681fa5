"""`make manage` and `make why` find the demo's databases, or those that the environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools.demo.manage import NO_DEMO
from tools.system.backends import Backends
from tools.system.commands import ROOT
from tools.system.keys import kept_keys
from tools.system.system import System

SUBJECT = "019b7c5e-29f8-7b52-8a41-0c9d3e7f2a10"


def databases(folder: Path) -> Backends:
    """Migrated ones, with the keys of a demo beside them."""
    folder.mkdir()
    backends = Backends.embedded(folder)
    System(folder, backends, keys=kept_keys(folder / "keys.json")).migrate()
    return backends


def tool(name: str, folder: Path, *arguments: str, **named: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", f"tools.demo.{name}", "--folder", str(folder), *arguments],
        cwd=ROOT,
        env=os.environ | named,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_manage_runs_a_command_of_either_service_in_the_demos_databases(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    databases(demo)

    created, key = tool(
        "manage", demo, "payment", "api_key", "create", "--name", "shop", "--scope", "webhooks"
    )
    _, keys = tool("manage", demo, "payment", "api_key", "list")
    listed, messages = tool("manage", demo, "student", "set_aside", "list")

    assert (created, listed) == (0, 0), key + messages
    assert "shop" in keys


def test_manage_has_the_exit_code_of_its_command(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    databases(demo)

    assert tool("manage", demo, "payment", "why", SUBJECT)[0] == 2


def test_without_a_demo_both_name_the_command_that_makes_one(tmp_path: Path) -> None:
    for name, arguments in (("manage", ["payment", "check"]), ("why", [SUBJECT])):
        code, said = tool(name, tmp_path, *arguments)

        assert (code, said.splitlines()[1:]) == (NO_DEMO, [])
        assert "run `make demo` first" in said


def test_why_answers_from_the_databases_that_the_environment_names(tmp_path: Path) -> None:
    backends = databases(tmp_path / "elsewhere")

    code, said = tool(
        "why",
        tmp_path / "no-demo",
        SUBJECT,
        PAYMENT_DATABASE_URL=backends.payment_database_url,
        STUDENT_DATABASE_URL=backends.student_database_url,
    )

    assert code == 2
    assert said.count("has no record of it") == 2
