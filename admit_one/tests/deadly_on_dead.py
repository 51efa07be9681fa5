"""A wiring whose ON_DEAD kills its process, the first time after it has written its row."""

import os
from pathlib import Path

from tests.models import Effect
from tests.process_handlers import HANDLERS  # noqa: F401


def ON_DEAD(envelope, reason):  # noqa: N802 (a name of the wiring)
    Effect.objects.create(subscription_id=envelope.data.subscription_id, user_id="dead")
    once = Path(os.environ["TEST_DEADLY_ONCE"])
    if not once.exists():
        once.touch()
        os._exit(9)
