import os

from settings_base import *

INSTALLED_APPS = ["admit_one.acts", "admit_one.sealing", "admit_one.messaging", "access"]
MESSAGING = {
    "CONTRACT": "orders_contract",
    "SERVICE": "access",
    "WIRING": "access.wiring",
    "BROKER_URL": os.environ["BROKER_URL"],
}
SEALING_KEYS = {"k1": os.environ["SEALING_KEY"].encode()}
