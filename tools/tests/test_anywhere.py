"""Bare Debians get what this machine says of package indexes.

The roots themselves are made by `make test-anywhere`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.anywhere import machine
from tools.anywhere.roots import DEMO, ROOTS, SMOKE
from tools.system.commands import ROOT


def test_pip_has_the_same_settings_in_a_root_as_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels, index = tmp_path / "wheels", tmp_path / "index" / "simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    settings = tmp_path / "pip.conf"
    settings.write_text(
        f"[global]\nfind-links =\n  {wheels}\n  /gone\nindex-url = file://{index}\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings))
    monkeypatch.setenv("PIP_TIMEOUT", "7")

    configured = machine.files()["/etc/pip.conf"]
    assert f"find-links = {wheels}\n    /gone" in configured
    assert f"index-url = file://{index}" in configured
    assert machine.environment()["PIP_TIMEOUT"] == "7"
    assert {str(wheels), str(index.parent)} <= set(machine.paths())
    assert "/gone" not in machine.paths()


def test_variables_that_say_nothing_of_packages_do_not_go_into_a_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_BROKER_URL", "amqp://here")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")

    assert "TEST_BROKER_URL" not in machine.environment()
    assert machine.environment()["HTTPS_PROXY"] == "http://proxy.example:3128"


def test_each_root_runs_the_demo_the_checks_and_tests() -> None:
    for name, root in ROOTS.items():
        steps = "\n".join(root.steps)
        assert (DEMO in steps, "make check" in steps, SMOKE in steps) == (True, True, True), name


def test_an_unknown_root_is_refused_with_those_that_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.anywhere", "debian-11"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "expected debian-12, debian-13, uv" in done.stderr
    assert "got debian-11" in done.stderr
