"""The URLs of the pages for operators."""

from django.contrib import admin
from django.urls import include, path

from admit_one.messaging import conf

from .login import LoginForm

admin.site.site_title = admin.site.site_header = f"Admit One: {conf.current().SERVICE}"
admin.site.index_title = "For operators"
admin.site.site_url = None
admin.site.login_form = LoginForm

urlpatterns = [
    path("", include("admit_one.web.urls")),
    path("", admin.site.urls),
]
