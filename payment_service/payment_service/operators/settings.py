"""Settings of the web process for operators: the service's own, and Django's admin."""

from payment_service.settings import *

from admit_one.operators.settings import *  # isort: skip (some take the place of others)

INSTALLED_APPS = list(dict.fromkeys([*OPERATORS_APPS, *INSTALLED_APPS]))
# Cookies know no ports: on one host, the other service's would be taken for ours.
SESSION_COOKIE_NAME = "payment_service_session"
CSRF_COOKIE_NAME = "payment_service_csrf"
