"""The student service has no API: its web process only reports whether it is alive and ready."""

from admit_one.web import health
from django.urls import path

urlpatterns = [
    path("health/live", health.live),
    path("health/ready", health.ready),
]
