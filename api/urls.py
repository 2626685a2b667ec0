"""The API's addresses, all with a trailing slash that callers may leave out."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from . import views


class Router(SimpleRouter):
    """DRF's, with PATCH and DELETE at the address of a list for who changes many at once."""

    collection, *others = SimpleRouter.routes
    changes = {"patch": "bulk_partial_update", "delete": "bulk_destroy"}
    routes = [collection._replace(mapping=collection.mapping | changes), *others]


router = Router(use_regex_path=True)
router.register("pets", views.PetViewSet, basename="pet")
router.register("users", views.UserViewSet, basename="user")

urlpatterns = [
    path("", views.RootView.as_view(), name="root"),
    path("me/", views.MeView.as_view(), name="me"),
    path("species/", views.SpeciesView.as_view(), name="species"),
    path("breeds/", views.BreedsView.as_view(), name="breeds"),
    path("credentials/report/", views.CredentialReportView.as_view(), name="credential-report"),
    path("schema/", views.SchemaView.as_view(), name="schema"),
    re_path(
        rf"^users/(?P<username>{views.USERNAME})/pets/$",
        views.UserPetsView.as_view(),
        name="user-pets",
    ),
    path("", include(router.urls)),
]
