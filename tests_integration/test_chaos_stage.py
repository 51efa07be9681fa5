"""Chaos locks both databases or neither."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests_integration.chaos.stage.stage import Stage
from tests_integration.harness.places import Place
from tools.system.backends import Backends


def test_no_database_is_locked_while_a_process_holds_one_of_them(tmp_path: Path) -> None:
    free, taken = tmp_path / "free.sqlite3", tmp_path / "taken.sqlite3"
    urls = {"payment_service": f"sqlite:///{free}", "student_service": f"sqlite:///{taken}"}
    place = Place(tmp_path, Backends.embedded(tmp_path), "", urls)
    stage = Stage(cast("Any", None), place, None)
    with (
        closing(sqlite3.connect(taken)) as frozen,
        closing(sqlite3.connect(free, timeout=0)) as other,
    ):
        frozen.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            stage.hold_databases()
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
        frozen.rollback()
        stage.hold_databases()

        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        stage.release_databases()
