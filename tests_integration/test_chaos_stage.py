"""What chaos does to the databases, it does wholly or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from tests_integration.chaos.stage.stage import Stage


def test_no_database_is_held_while_somebody_keeps_one_of_them(tmp_path: Path) -> None:
    free, kept = tmp_path / "free.sqlite3", tmp_path / "kept.sqlite3"
    urls = {"payment_service": f"sqlite:///{free}", "student_service": f"sqlite:///{kept}"}
    stage = Stage(cast("Any", None), cast("Any", None), None, urls)
    with (
        closing(sqlite3.connect(kept)) as frozen,
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
