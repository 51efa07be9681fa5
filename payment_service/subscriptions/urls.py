from django.urls import path

from . import views

urlpatterns = [
    path("subscriptions", views.Subscriptions.as_view(), name="subscriptions"),
    # Any text: a malformed id is a thing that does not exist, and without a key it is 401 as ever.
    path(
        "subscriptions/<str:subscription_id>",
        views.SubscriptionDetail.as_view(),
        name="subscription",
    ),
    path("subscriptions/<str:subscription_id>/cancel", views.Cancellation.as_view(), name="cancel"),
]
