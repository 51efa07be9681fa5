"""The health URLs of every web process.

A service without an API needs no other URLs; the others `include("admit_one.web.urls")`.
"""

from django.urls import path

from . import health

urlpatterns = [
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
]
