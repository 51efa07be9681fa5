"""Settings of the operators' web process: the service's own, plus Django's admin."""

from payment_service.settings import *

from admit_one.operators.settings import *  # isort: skip (overrides some of the above)

INSTALLED_APPS = list(dict.fromkeys([*OPERATORS_APPS, *INSTALLED_APPS]))
# Browsers share cookies between the ports of a host, so each service needs its own names.
SESSION_COOKIE_NAME = "payment_service_session"
CSRF_COOKIE_NAME = "payment_service_csrf"
