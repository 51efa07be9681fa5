"""Files that lie in a folder of any name: what we write is read by the services and by SQLite."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from admit_one.embedded_broker.transport import path_of as path_for_kombu
from admit_one.environment import database

from tools.system.backends import Backends
from tools.system.database_files import path_of
from tools.system.rows import Rows


def test_a_folder_of_any_name_holds_the_files_of_a_system(tmp_path: Path) -> None:
    folder = tmp_path / "100% ümlaut #1?a=b;c"
    folder.mkdir()
    system = Backends.embedded(folder)
    file = folder.resolve() / "payment.sqlite3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE a_table (a_column)")

    assert database(system.payment_database_url)["NAME"] == str(file)
    assert path_of(system.payment_database_url) == file
    assert path_for_kombu(system.broker_url) == str(folder.resolve() / "broker.sqlite3")
    rows = Rows(system.payment_database_url)
    assert rows.all("SELECT count(*) FROM a_table") == [(0,)]
    rows.close()


def test_a_server_is_no_file() -> None:
    assert path_of("postgres://host/name") is None
