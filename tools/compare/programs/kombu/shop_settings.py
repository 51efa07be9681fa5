from settings_base import *

INSTALLED_APPS = ["shop"]
