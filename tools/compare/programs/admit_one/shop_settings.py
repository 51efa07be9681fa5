import os

from settings_base import *

INSTALLED_APPS = ["admit_one.acts", "admit_one.sealing", "admit_one.messaging", "shop"]
MESSAGING = {
    "CONTRACT": "orders_contract",
    "SERVICE": "shop",
    "WIRING": "shop.wiring",
    "BROKER_URL": os.environ["BROKER_URL"],
}
SEALING_KEYS = {"k1": os.environ["SEALING_KEY"].encode()}
