import os

from settings_base import *

INSTALLED_APPS = ["shop"]
CELERY_BROKER_URL = os.environ["BROKER_URL"]
