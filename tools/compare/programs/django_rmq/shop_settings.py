from broker_settings import *
from settings_base import *

INSTALLED_APPS = ["django_rmq", "shop"]
