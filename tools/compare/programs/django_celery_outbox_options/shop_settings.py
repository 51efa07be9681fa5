import os

from queues import ACCESS
from settings_base import *

INSTALLED_APPS = ["django_celery_outbox", "shop"]
CELERY_OUTBOX_APP = "shop.celery.app"
CELERY_BROKER_URL = os.environ["BROKER_URL"]
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}
CELERY_TASK_QUEUES = [ACCESS]
