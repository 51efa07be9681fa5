"""Run the demo, the checks and a part of the tests on bare machines: Debian roots.

    make test-anywhere                          in all of them
    make test-anywhere ARGS="debian-12 uv"      in these
    make test-anywhere ARGS="debian-12 --whole" with all tests
    make test-anywhere ARGS=--list              what each root shows

Needs Linux, root (or sudo without a password), a mirror of Debian and the package index.
Each root is made from scratch in var/anywhere, where its log remains, too.
Exit codes: 0 all passed; 1 a step failed; 2 an option is wrong.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from tools import command_line
from tools.system.commands import ROOT

from . import machine
from .roots import BASE, ROOTS, SMOKE, Root

FOLDER = ROOT / "var" / "anywhere"
INSIDE = Path(__file__).with_name("inside.sh")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WHOLE = (
    "CI= make test >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }; "
    "cat /tmp/said; ! tail -1 /tmp/said | grep '^LEFT OUT'"
)
"""Without CI, in which a test fails that needs curl or Node.js; none is left out for RabbitMQ."""


def main() -> None:
    parser = command_line.parser("make test-anywhere", __doc__)
    parser.add_argument("names", nargs="*", metavar="root", help=", ".join(ROOTS))
    parser.add_argument("--whole", action="store_true", help="run all tests instead of a part")
    parser.add_argument("--list", action="store_true", help="say what each root shows")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in ROOTS]:
        parser.error(f"expected {', '.join(ROOTS)}; got {', '.join(unknown)}")
    if options.list:
        for name, root in ROOTS.items():
            print(f"{name:<16}{root.shows}")
        return
    install_what_is_missing()
    failed = [name for name in options.names or ROOTS if not passes(name, whole=options.whole)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}; their logs are in {FOLDER}")


def install_what_is_missing() -> None:
    if not shutil.which("pasta"):
        subprocess.run([*AS_ROOT, "apt-get", "-qq", "update"], check=True)
        install = ["apt-get", "-qq", "--yes", "--no-install-recommends", "install", "passt"]
        subprocess.run([*AS_ROOT, *install], stdout=subprocess.DEVNULL, check=True)


def passes(name: str, *, whole: bool) -> bool:
    """Make the root, do its steps until one fails, and remove it."""
    root, place = ROOTS[name], FOLDER / name
    print(f"\n=== {name}: {root.shows}", flush=True)
    steps = [step.replace(SMOKE, WHOLE) if whole else step for step in root.steps]
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{name}.log"
    with log.open("wb") as output:
        try:
            make(root, place, output)
            passed = all(succeeds(root, place, step, output) for step in steps)
        except subprocess.CalledProcessError as error:
            print(f"The root could not be made: {error}", flush=True)
            passed = False
        finally:
            subprocess.run([*AS_ROOT, "rm", "-rf", str(place)], check=True)
    if not passed:
        print(*log.read_text(errors="replace").splitlines()[-60:], sep="\n")
    return passed


def succeeds(root: Root, place: Path, step: str, output: IO[bytes]) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        [*inside(place), *shell(f"{root.beside}\n{as_user(root, step)}")],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
    )
    result = "FAILED" if done.returncode else "ok"
    print(f"{result:<7}{time.monotonic() - began:5.0f} s  {step}", flush=True)
    return done.returncode == 0


def make(root: Root, place: Path, output: IO[bytes]) -> None:
    """A copy of its Debian, with what this machine says of indexes, and with the project."""
    base = FOLDER / f"debian-{root.suite}"
    subprocess.run(["bash", ".ci/debian", root.suite, str(base), *BASE], cwd=ROOT, check=True)
    subprocess.run([*AS_ROOT, "rm", "-rf", str(place)], check=True)
    subprocess.run([*AS_ROOT, "cp", "-a", str(base), str(place)], check=True)
    for path, text in machine.files().items():
        write(place, path, text.encode())
    if root.has_uv:
        write(place, "/usr/local/bin/uv", Path(sys.executable).with_name("uv").read_bytes(), "755")
    run(place, "\n".join(preparations(root)), output)
    copy_project(Path(f"{place}{root.folder}"))
    folder = shlex.quote(root.folder)
    run(place, f"git init --quiet {folder}\nchown -R {root.user} {folder}", output)


def preparations(root: Root) -> Iterator[str]:
    """What root does there before anyone works."""
    if root.user != "root":
        yield f"useradd --create-home {root.user}"
    yield f"mkdir -p {shlex.quote(root.folder)}"
    if root.packages:
        packages = " ".join(root.packages)
        yield "apt-get -qq update"
        yield (
            "DEBIAN_FRONTEND=noninteractive "
            f"apt-get -qq --yes --no-install-recommends install {packages} >/dev/null"
        )
    yield root.prepare


def copy_project(folder: Path) -> None:
    """What a clone would have, with what is not committed yet."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    there = b"\0".join(file for file in files.split(b"\0") if (ROOT / os.fsdecode(file)).is_file())
    packed = ["tar", "--create", "--null", "--files-from=-"]
    archive = subprocess.run(packed, cwd=ROOT, input=there, capture_output=True, check=True).stdout
    unpack = [*AS_ROOT, "tar", "--extract", "--no-same-owner", "--directory", str(folder)]
    subprocess.run(unpack, input=archive, check=True)


def write(place: Path, path: str, content: bytes, mode: str = "644") -> None:
    command = [*AS_ROOT, "install", "-D", "-m", mode, "/dev/stdin", f"{place}{path}"]
    subprocess.run(command, input=content, check=True)


def run(place: Path, script: str, output: IO[bytes]) -> None:
    """Run a script of root's in the root."""
    command = [*inside(place), *shell(script)]
    subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=True
    )


def inside(place: Path) -> list[str]:
    """Enters the root with root's environment, in which only the index's variables are kept."""
    variables = [f"{name}={value}" for name, value in machine.environment().items()]
    enter = [*AS_ROOT, "sh", str(INSIDE), str(place), *machine.paths(), "--"]
    return [*enter, "env", "-i", f"PATH={PATH}", *variables]


def shell(script: str) -> list[str]:
    return ["sh", "-euc", script]


def as_user(root: Root, step: str) -> str:
    """The step as a person does it: as that user, in the project's folder."""
    home = "/root" if root.user == "root" else f"/home/{root.user}"
    # With CI set, no test is left out.
    variables = {"HOME": home, "USER": root.user, "CI": "true", **root.environment}
    settings = [f"{name}={value}" for name, value in variables.items()]
    step = f"umask {root.umask}\ncd {shlex.quote(root.folder)}\n{step}"
    if root.terminal:
        step = shlex.join(["script", "--quiet", "--return", "--command", step, "/dev/null"])
    return shlex.join(["setpriv", *identity(root.user), "env", *settings, *shell(step)])


def identity(user: str) -> Sequence[str]:
    return [] if user == "root" else [f"--reuid={user}", f"--regid={user}", "--init-groups"]


if __name__ == "__main__":
    main()
