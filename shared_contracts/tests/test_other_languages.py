"""The schemas compile where other teams use them: in JavaScript, Go, Java and Rust, too."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admit_one.contract.patterns import unportable

from tests.borders import CONTRACT, borders

SCHEMAS = {
    event.type: json.loads(CONTRACT.schema_path(event).read_text(encoding="utf-8"))
    for event in CONTRACT.events
}
HERE = Path(__file__).parent
NPM = HERE.parents[1] / "var" / "npm"


def patterns(schema: Any) -> Iterator[str]:
    parts = schema.values() if isinstance(schema, dict) else schema
    for part in parts:
        if isinstance(part, dict | list):
            yield from patterns(part)
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        yield schema["pattern"]


PATTERNS = sorted({pattern for schema in SCHEMAS.values() for pattern in patterns(schema)})

# What may follow a backslash in JavaScript's flag u (ECMA-262, 22.2.1) and in RE2, and means the
# same in both: signs of the syntax, and a character by its two hexadecimal digits.
ESCAPE = re.compile(r"[\^$\\.*+?()\[\]{}|/]|[fnrtv]|x[0-9A-Fa-f]{2}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_pattern_has_only_what_all_languages_compile(pattern: str) -> None:
    after = [found[1:] for found in re.findall(r"\\.[0-9A-Fa-f]{0,2}", pattern, re.DOTALL)]

    assert [text for text in after if not ESCAPE.match(text)] == []
    assert re.findall(r"\(\?", pattern) == []  # no looking ahead or behind, no names
    assert [int(n) for n in re.findall(r"\{(\d+)", pattern) if int(n) > 1_000] == []  # RE2's limit
    assert unportable(pattern) == ""


@pytest.fixture
def node() -> str:
    """The path of Node.js, where Ajv is installed too. In CI it must be."""
    path = shutil.which("node")
    if path and _ajv(path, "require.resolve('ajv-formats')").returncode == 0:
        return path
    missing = "expected Node.js with ajv and ajv-formats; get them with `make npm`"
    if os.environ.get("CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def _ajv(node: str, script: str, given: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NODE_PATH": str(NPM / "node_modules")}
    return subprocess.run(
        [node, "-e", script],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_ajv_compiles_the_schemas_and_agrees_with_the_page(node: str) -> None:
    golden = [json.loads(CONTRACT.golden(event)) for event in CONTRACT.events]
    at_borders = [border.message() for border in borders()]
    script = (HERE / "ajv.js").read_text(encoding="utf-8")

    ran = _ajv(node, script, json.dumps({"schemas": SCHEMAS, "messages": golden + at_borders}))

    assert (ran.returncode, ran.stderr) == (0, "")
    verdicts = json.loads(ran.stdout)
    assert verdicts[: len(golden)] == [True] * len(golden)
    expected = {str(border): border.is_accepted for border in borders()}
    assert dict(zip(expected, verdicts[len(golden) :], strict=True)) == expected
