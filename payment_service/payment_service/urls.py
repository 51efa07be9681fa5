from admit_one.web import openapi, problem_pages
from admit_one.webhooks import views as webhook_views
from django.urls import include, path
from providers.views import ProviderEvents
from subscriptions import views
from subscriptions.orders import views as order_views

urlpatterns = [
    path("", include("admit_one.web.urls")),
    *openapi.addresses(),
    *problem_pages.addresses(),
    *webhook_views.addresses(),
    path("v1/orders", order_views.Orders.as_view(), name="orders"),
    path("v1/orders/<str:order_id>", order_views.OrderDetail.as_view(), name="order"),
    path("v1/subscriptions", views.Subscriptions.as_view(), name="subscriptions"),
    # `str`, not `uuid`: the view checks the key first, so a malformed id is a 401 or a 404.
    path(
        "v1/subscriptions/<str:subscription_id>",
        views.SubscriptionDetail.as_view(),
        name="subscription",
    ),
    *(
        path(f"v1/subscriptions/<str:subscription_id>/{name}", view.as_view(), name=name)
        for name, view in views.CHANGES.items()
    ),
    path("v1/webhooks/<str:name>", ProviderEvents.as_view(), name="provider_events"),
]

handler400 = "admit_one.web.problems.bad_request"
handler403 = "admit_one.web.problems.permission_denied"
handler404 = "admit_one.web.problems.not_found"
handler500 = "admit_one.web.problems.server_error"
