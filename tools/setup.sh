#!/bin/sh
# Creates .venv with the locked dependencies and our packages. Does nothing if nothing has changed.
# Needs Python 3.11+ with venv, or uv; and access to the package index.
set -eu
cd "$(dirname "$0")/.."

stamp=.venv/.made-from
# Includes the folder, because a virtual environment that was moved does not work.
made_from() {
    pwd
    cksum uv.lock requirements.txt pyproject.toml ./*/pyproject.toml tools/setup.sh
}

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

[ -f "$stamp" ] && [ -x .venv/bin/python ] && [ "$(made_from)" = "$(cat "$stamp")" ] && exit 0

# Prints the first suitable Python, or exits with a message.
find_python() {
    too_old=
    without_venv=
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            too_old="$too_old $candidate ($version)"
        elif ! "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            without_venv=$version
        else
            echo "$candidate"
            return
        fi
    done
    [ -z "$without_venv" ] || fail "Python $without_venv has no venv module.
On Debian or Ubuntu:  sudo apt install python3-venv   (or python$without_venv-venv)
Then run the same command again."
    fail "Python 3.11 or newer is needed; found:${too_old:- no python3 at all}.
On Debian 12+ or Ubuntu 24.04+:  sudo apt install python3 python3-venv
On macOS:                        brew install python@3.13
Or install uv, which installs Python as well: https://docs.astral.sh/uv/
Then run the same command again. PYTHON=/path/to/python chooses one that is not on the PATH."
}

with_uv() {
    "$1" sync --all-packages --frozen --quiet || fail "uv could not install the dependencies; the reason is above.
Can this machine reach the package index? Does it need a proxy?
Then run the same command again."
}

with_pip() {
    python=$(find_python)
    # Start over if the environment has an older Python or is incomplete.
    .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        "$python" -m venv --clear .venv || fail "$python could not create a virtual environment in .venv; the reason is above."
    # Our own packages have no hashes, so they are installed separately.
    { .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.txt &&
        .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps \
            -e admit_one -e shared_contracts -e payment_service -e student_service; } ||
        fail "pip could not install the dependencies; the reason is above.
Can this machine reach the package index?   .venv/bin/python -m pip config list
Then run the same command again."
}

echo "Installing the locked dependencies into .venv; this takes about a minute." >&2
if command -v uv >/dev/null 2>&1; then
    with_uv uv
elif [ -x .venv/bin/uv ] && ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    with_uv .venv/bin/uv # uv created this environment, without pip
else
    with_pip
fi
made_from >"$stamp"
