import os

from settings_base import *

INSTALLED_APPS = ["access"]
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_TASK_DEFAULT_QUEUE = "access"
