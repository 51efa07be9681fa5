"""A system that runs until it is killed.

    python -m tests_integration.harness.runner FOLDER BACKENDS

Prints where it is and an API key once everything is ready; something to kill.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tools.system.system import Backends

from .house import moved_in
from .places import Place


def main() -> None:
    folder, backends = Path(sys.argv[1]), Backends(**json.loads(sys.argv[2]))
    with moved_in(Place(folder, backends, wire_url="")) as house:
        house.start()
        print(json.dumps([house.system.payment_url, house.api_key]), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
