"""Run a module of the program, and kill it where and when the comparison says.

    python run.py MODULE ARGUMENTS…

KILL_AT is "module:Class.function:before" (or after): if the file TRAP exists, the whole process
group is killed there. `new_code` fails for the orders that the file POISON lists.
Only functions of the libraries, and `new_code`, are patched.
"""

import functools
import importlib
import inspect
import os
import runpy
import signal
import sys
import time
from pathlib import Path

IN_THE_HANDLER = 0.3
"""Seconds that a handler runs before it is killed, so that an early ack has been sent by then."""
HANDLER = ("access.codes", "django.db.models.query")


def main() -> None:
    os.environ["KILL_GROUP"] = str(os.getpid())
    poison()
    module, _, rest = os.environ.get("KILL_AT", "").partition(":")
    if module == "access.codes":
        replace(module, *rest.split(":"))
    if "DJANGO_SETTINGS_MODULE" in os.environ:
        importlib.import_module("django").setup()
    if module and module != "access.codes":
        replace(module, *rest.split(":"))
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def poison() -> None:
    codes = importlib.import_module("access.codes")
    original = codes.new_code

    def new_code(order_id):
        file = Path(os.environ["POISON"])
        if file.exists() and str(order_id) in file.read_text().split():
            raise RuntimeError(f"no code can be made for order {order_id}")
        return original(order_id)

    codes.new_code = new_code


def replace(module, function, when):
    work = IN_THE_HANDLER if module in HANDLER else 0
    owner_name, _, name = function.rpartition(".")
    owner = importlib.import_module(module)
    for part in filter(None, owner_name.split(".")):
        owner = getattr(owner, part)
    original = getattr(owner, name)

    @functools.wraps(original)
    def replaced(*arguments, **named):
        if when == "before":
            die(work)
        result = original(*arguments, **named)
        if when == "before":
            return result
        if inspect.isawaitable(result):
            return after(result)
        die(work)
        return result

    async def after(result):
        value = await result
        die(work)
        return value

    setattr(owner, name, replaced)


def die(work):
    try:
        Path(os.environ["TRAP"]).unlink()
    except FileNotFoundError:
        return
    time.sleep(work)
    os.killpg(int(os.environ["KILL_GROUP"]), signal.SIGKILL)


if __name__ == "__main__":
    main()
