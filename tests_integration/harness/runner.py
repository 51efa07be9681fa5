"""A system that runs until it is killed, for tests that kill the process that started it.

    python -m tests_integration.harness.runner FOLDER BACKENDS

Prints the API's URL and a key once everything is ready.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from tools.system.system import Backends

from .deployment import deployed
from .places import Place


def main() -> None:
    folder, backends = Path(sys.argv[1]), Backends(**json.loads(sys.argv[2]))
    with deployed(Place(folder, backends, "", {})) as deployment:
        deployment.start()
        print(json.dumps([deployment.system.payment_url, deployment.api_key]), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
