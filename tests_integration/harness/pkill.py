"""`pkill -9 -f TEXT` limited to process groups; a minimal Debian has no pkill.

python pkill.py GROUP,GROUP… -9 -f TEXT
"""

from __future__ import annotations

import os
import shlex
import sys

import psutil


def main() -> None:
    groups, signal, how, text = sys.argv[1:]
    if (signal, how) != ("-9", "-f"):
        sys.exit(f"expected -9 -f TEXT, got {signal} {how}")
    ours = {int(group) for group in groups.split(",")}
    matching = [
        process
        for process in psutil.process_iter(["cmdline"])
        if text in shlex.join(process.info["cmdline"] or ()) and os.getpgid(process.pid) in ours
    ]
    for process in matching:
        process.kill()
    sys.exit(0 if matching else 1)


if __name__ == "__main__":
    main()
