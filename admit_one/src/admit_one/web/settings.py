"""A REST API for a service: `from admit_one.web.settings import *`, then `API_APPS` installed.

Its environment inherits from `ApiEnvironment` as well, and says `SECURE_HSTS_SECONDS`, `API_DOCS`,
`API_RATE_PER_KEY`, `API_RATE_PER_ADDRESS`, `LIMITS_URL` and `PROBLEM_TYPES`.
"""

from typing import Annotated, Literal

from admit_one.environment import Environment, LimitsUrl, development, whole
from admit_one.web import problem_types


class ApiEnvironment(Environment):
    """What a service with a REST API reads from its environment, beside the settings of all."""

    LIMITS_URL: LimitsUrl = None
    """The Redis in which all processes add up their counts of requests; none: the database."""
    API_DOCS: Literal["on", "off"] = "on"
    """Whether the API describes itself at /v1/docs and /v1/schema."""
    API_RATE_PER_KEY: Annotated[int, whole(1, 1_000_000)] = 6_000
    """Requests that a key may make in a minute."""
    API_RATE_PER_ADDRESS: Annotated[int, whole(1, 1_000_000)] = 60
    """Requests without a valid key that an address may make in a minute."""
    HSTS_SECONDS: Annotated[int, whole(0, 63_072_000)] = 0 if development() else 31_536_000
    """How long a browser that came by https stays with https; 0 says nothing to it."""
    PROBLEM_TYPES: problem_types.Base = problem_types.DEFAULT
    """What comes before the code in the `type` of a problem: the address of pages about them."""


API_APPS = [
    "django.contrib.staticfiles",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "admit_one.web",
]
# No sessions and no cookies: a request carries its key, so there is nothing to forge (CSRF).
MIDDLEWARE = [
    "admit_one.web.metrics.measured",
    "admit_one.web.request_ids.request_ids",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "admit_one.web.health.OwnHosts",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 65_536
"""Bytes of a request body."""

# The API page's own files, served by the web process itself: no internet, no collectstatic.
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True

X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SILENCED_SYSTEM_CHECKS = [
    "security.W003",  # no CSRF middleware: there are no cookies
    "security.W008",  # no redirect to https: the key would already have been sent in clear
    "security.W021",  # preloading HSTS is the domain owner's choice
]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["admit_one.web.keys.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["admit_one.web.json_bodies.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "admit_one.web.json_bodies.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "admit_one.web.problems.answer",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/v1",
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "CONTACT": {"name": "The operators of this installation"},
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "admit_one.web.openapi_hooks.complete",
    ],
    # Relative: whoever reads the schema knows where it came from.
    "SERVERS": [{"url": "/", "description": "This installation"}],
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
"""A service adds its own TITLE, DESCRIPTION and TAGS."""
