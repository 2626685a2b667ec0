"""What holds for every view under /api/, found by walking the URLconf instead of by remembering."""

import json
import re

import pytest
from django.urls import URLResolver, get_resolver
from rest_framework.test import APIRequestFactory

from api.pagination import MAX_PAGE_SIZE, KeysetPagination, SinglePage
from api.permissions import HasScope, IsPublic, required_scopes
from api.scopes import SCOPES
from api.views import CredentialReportView, SchemaView

from .conftest import make_key, with_key

METHODS = ["get", "post", "put", "patch", "delete"]
PARAMETER = re.compile(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>")


def api_routes(resolver=None, prefix=""):
    """Yield `(route, view class, {method: its handler's name}, options of as_view)` below /api/.

    `route` is spelled as in a ResolverMatch.  A view that answers no method is left out.
    """
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern).removeprefix("^")
        if isinstance(entry, URLResolver):
            yield from api_routes(entry, route)
        elif route.startswith("api/"):
            view = entry.callback
            actions = getattr(view, "actions", None) or {method: method for method in METHODS}
            handlers = {
                method: actions[method]
                for method in METHODS
                if method in actions and hasattr(view.cls, actions[method])
            }
            if handlers:
                yield route, view.cls, handlers, view.initkwargs


def address(route, **values):
    """Return the path of `route` with its parameters filled in."""
    path = PARAMETER.sub(lambda match: str(values[match[1] or match[2]]), route)
    return "/" + path.removesuffix("$")


def template(route):
    """Return the path of `route` as the schema spells it."""
    return "/" + PARAMETER.sub(lambda match: f"{{{match[1] or match[2]}}}", route).removesuffix("$")


ROUTES = sorted(api_routes(), key=lambda route: route[0])
for_every_route = pytest.mark.parametrize(
    ("route", "cls", "handlers", "options"), ROUTES, ids=[template(route[0]) for route in ROUTES]
)
READABLE = [route for route in ROUTES if "get" in route[2]]
for_every_readable_route = pytest.mark.parametrize(
    ("route", "cls", "handlers", "options"),
    READABLE,
    ids=[template(route[0]) for route in READABLE],
)


def view_of(cls, handlers, options, method):
    """Return the view as it stands when `method` comes in."""
    view = cls(**options)
    view.action_map, view.kwargs, view.format_kwarg = handlers, {}, None
    view.request = view.initialize_request(APIRequestFactory().generic(method.upper(), "/"))
    return view


@pytest.fixture
def read(rex, secret_cat, sam_with_key):
    """Read a route as staff does, who may see everything; Rex and Alice fill its parameters."""
    return lambda route, **query: sam_with_key.get(
        address(route, pk=rex.pk, username="alice"), query_params=query
    )


def test_there_are_views():
    assert {"api/v1/", "api/v1/me/", "api/v1/pets/$"} <= {route[0] for route in ROUTES}


@for_every_route
def test_it_names_known_scopes_or_says_that_it_is_public(route, cls, handlers, options):
    for method in handlers:
        view = view_of(cls, handlers, options, method)
        permissions = {type(permission) for permission in view.get_permissions()}
        if IsPublic in permissions:
            assert permissions == {IsPublic}, "public and something else is neither"
            # Whoever found somebody's key has none of their own, and need not.
            is_report = cls is CredentialReportView
            assert method == "get" or is_report, "what writes must not be public"
        else:
            assert HasScope in permissions
            assert set(required_scopes(view, method.upper())) <= set(SCOPES)


@for_every_route
def test_it_is_in_the_schema_with_each_of_its_methods(db, anonymous, route, cls, handlers, options):
    schema = json.loads(anonymous.get("/api/v1/schema/", {"format": "json"}).content)
    path = template(route).replace("{pk}", "{id}")
    if cls is SchemaView:
        assert path not in schema["paths"], "the schema does not describe itself"
    else:
        assert set(handlers) == set(schema["paths"][path]) - {"parameters"}


@for_every_readable_route
def test_a_list_has_filters_pages_and_a_total_order(read, route, cls, handlers, options):
    answer = read(route)
    assert answer.status_code == 200
    if "json" not in answer["Content-Type"] or "results" not in answer.json():
        return  # not a list of rows
    view = view_of(cls, handlers, options, "get")
    assert [error["field"] for error in read(route, wings="2").json()["errors"]] == ["wings"]
    if type(view.paginator) is SinglePage:
        assert answer.json()["next"] is None
        return  # all there is, in an order of its own
    assert view.filterset_class, "a list can be narrowed"
    assert isinstance(view.paginator, KeysetPagination)
    queryset = view.queryset
    ordering = [field.lstrip("-") for field in queryset.query.order_by]
    # Grouped rows are told apart by what they are grouped by, the others by their id.
    grouped_by = queryset.query.values_select if queryset.query.group_by is not None else ("id",)
    assert set(grouped_by) <= set(ordering), "two rows may stand in the same place"
    for query in ({"page_size": MAX_PAGE_SIZE + 1}, {"cursor": "made-up"}):
        refused = read(route, **query)
        assert refused.status_code == 400
        assert [error["field"] for error in refused.json()["errors"]] == list(query)


@for_every_route
def test_head_answers_as_get_without_the_body(
    rex, sam_with_key, anonymous, route, cls, handlers, options
):
    path = address(route, pk=rex.pk, username="alice")
    for client in (sam_with_key, anonymous):
        whole, head = client.get(path), client.head(path)
        assert head.status_code == whole.status_code
        assert head.content == b""
        # Each request has its own id, span, time and place in the limit; so has a problem's body.
        varying = {"X-Request-ID", "Content-Length", "traceparent", "Server-Timing", "RateLimit"}
        assert {k: v for k, v in head.headers.items() if k not in varying} == {
            k: v for k, v in whole.headers.items() if k not in varying
        }


@for_every_route
def test_options_tells_nothing_to_those_who_may_not_read(
    alice, secret_cat, bob, anonymous, route, cls, handlers, options
):
    path = address(route, pk=secret_cat.pk, username="alice")
    unscoped = with_key(make_key(bob, "openid")[1])
    for client in (anonymous, unscoped):
        answer = client.options(path)
        if "get" in handlers:
            assert answer.status_code == client.get(path).status_code
        assert "Shadow" not in answer.content.decode()


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_options_and_head_do_not_tell_a_private_pet_from_one_that_is_not_there(
    secret_cat, bob_with_key, method
):
    hidden, missing = (
        getattr(bob_with_key, method)(f"/api/v1/pets/{pk}/") for pk in (secret_cat.pk, 987654321)
    )
    assert hidden.status_code == missing.status_code
    # The ids of the requests first: they may begin with the digits of the pet's.
    hide = re.compile(
        rf"{hidden['X-Request-ID']}|{missing['X-Request-ID']}|987654321|{secret_cat.pk}"
    )
    assert hide.sub("…", hidden.content.decode()) == hide.sub("…", missing.content.decode())


@for_every_route
def test_a_private_pet_is_named_nowhere_but_to_its_owner_and_staff(
    alice, rex, secret_cat, bob_with_key, app_with_token, anonymous, route, cls, handlers, options
):
    secret_cat.breed = "Burmilla"
    secret_cat.save()
    path = address(route, pk=secret_cat.pk, username="alice")
    for client in (bob_with_key, app_with_token, anonymous):
        told = client.get(path).content.decode().replace(path, "")
        assert "Shadow" not in told
        assert "Burmilla" not in told
        assert f"/pets/{secret_cat.pk}/" not in told
