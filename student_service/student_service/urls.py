from access_codes.views import acts, codes, mail_webhooks, questions
from admit_one.web import openapi, problem_pages
from admit_one.webhooks import views as webhook_views
from django.urls import include, path

# `str`: the views check the key first, so a malformed id is a 401 or a 404.
ONE_CODE = "v1/access-codes/<str:access_id>"

urlpatterns = [
    path("", include("admit_one.web.urls")),
    *openapi.addresses(),
    *problem_pages.addresses(),
    *webhook_views.addresses(),
    path("v1/access-codes/validate", questions.Validation.as_view(), name="validate"),
    path("v1/access-codes/redeem", questions.Redemption.as_view(), name="redeem"),
    path("v1/access/<str:access_id>", questions.Access.as_view(), name="access"),
    path("v1/access-codes", codes.AccessCodes.as_view(), name="access_codes"),
    path(ONE_CODE, codes.AccessCodeDetail.as_view(), name="access_code"),
    *mail_webhooks.addresses(),
    *(path(f"{ONE_CODE}/{name}", act.as_view(), name=name) for name, act in acts.ACTS.items()),
]

handler400 = "admit_one.web.problems.bad_request"
handler403 = "admit_one.web.problems.permission_denied"
handler404 = "admit_one.web.problems.not_found"
handler500 = "admit_one.web.problems.server_error"
