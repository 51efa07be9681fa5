"""Every address of the pages for operators."""

from django.contrib import admin
from django.urls import path

from admit_one.messaging import conf
from admit_one.web import health

admin.site.site_title = admin.site.site_header = f"Admit One: {conf.current().SERVICE}"
admin.site.index_title = "For operators"
admin.site.site_url = None

urlpatterns = [
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("", admin.site.urls),
]
