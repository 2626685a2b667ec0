"""What will go: told on every answer that shows or uses it (RFC 9745, RFC 8594), and in the schema.

To let a field, a parameter or an operation go: name it in DEPRECATED as the schema spells it, and
build it out on its day of sunset.  A name that the schema does not know stops its making.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from django.conf import settings
from django.utils.http import http_date
from rest_framework import serializers

GUIDE = "/docs/guides/headers/#deprecated"
PARAMETER = re.compile(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Deprecated:
    """`name` is `Pet.color`, `GET /api/v1/breeds/` or `GET /api/v1/pets/?owner`.

    Nothing new should use it `since` that day; from `sunset` on it may be gone.  `instead` is a
    sentence about what to do; `link` leads to more.
    """

    name: str
    since: date
    sunset: date
    instead: str
    link: str = GUIDE

    def __post_init__(self):
        if self.sunset < self.since:  # RFC 9745 §4
            raise ValueError(f"{self.name} goes before it is deprecated.")


DEPRECATED = []


def tell(view, request, response):
    """Set Deprecation, Sunset and Link where the answer shows what will go, or the request used it;
    of several the day that comes first, and each one's page."""
    if not DEPRECATED:
        return
    met = names(view, request, response)
    met = [one for one in DEPRECATED if one.name in met]
    if met:
        response["Deprecation"] = f"@{seconds(min(one.since for one in met))}"
        response["Sunset"] = http_date(seconds(min(one.sunset for one in met)))
        pages = dict.fromkeys(f"{settings.PUBLIC_URL}{one.link}" for one in met)
        links = [f'<{page}>; rel="deprecation"; type="text/html"' for page in pages]
        response["Link"] = ", ".join([*filter(None, [response.get("Link")]), *links])


def seconds(day):
    return int(datetime.combine(day, time(), UTC).timestamp())


def names(view, request, response):
    """Return the names of what this request and its answer are made of."""
    route = PARAMETER.sub(lambda match: f"{{{match[1] or match[2]}}}", request.resolver_match.route)
    path = f"/{route.removesuffix('$')}".replace("{pk}", "{id}")
    operation = f"{'GET' if request.method == 'HEAD' else request.method} {path}"
    found = {operation, *(f"{operation}?{parameter}" for parameter in request.query_params)}
    data = getattr(response, "data", None)
    shows = request.method not in {"DELETE", "OPTIONS"} and response.status_code < 400
    if shows and getattr(view, "is_selective", False):
        found |= fields(view.get_serializer())
    elif hasattr(data, "serializer"):
        found |= fields(data.serializer)
    if request.method in {"POST", "PUT", "PATCH"} and response.status_code < 400:
        bodies = request.data if isinstance(request.data, list) else [request.data]
        sent = {name for body in bodies if isinstance(body, dict) for name in body}
        found |= {name for name in fields(view.get_serializer()) if name.partition(".")[2] in sent}
    return found


def fields(serializer):
    """Return `Component.field` for all that a serializer has, nested ones too."""
    serializer = getattr(serializer, "child", serializer)
    if not isinstance(serializer, serializers.BaseSerializer):
        return set()
    component = type(serializer).__name__.removesuffix("Serializer")
    component = getattr(serializer, "_spectacular_annotation", {}).get("component_name", component)
    found = {f"{component}.{name}" for name in serializer.fields}
    return found.union(*(fields(field) for field in serializer.fields.values()))


def mark(result, generator, request, public):
    """Postprocessing of the schema: what will go is `deprecated`; LookupError for what is not."""
    schemas, operations = result["components"]["schemas"], {}
    for path, item in result["paths"].items():
        operations |= {f"{method.upper()} {path}": operation for method, operation in item.items()}
    for one in DEPRECATED:
        operation, _, parameter = one.name.partition("?")
        component, _, field = one.name.partition(".")
        described = operations.get(operation, {})
        if parameter:
            taken = described.get("parameters", [])
            marked = [each for each in taken if each.get("name") == parameter]
        elif described:
            marked = [described]
        else:
            shapes = [component, f"{component}Request", f"Patched{component}Request"]
            known = [schemas[shape]["properties"] for shape in shapes if shape in schemas]
            marked = [properties[field] for properties in known if field in properties]
        if not marked:
            raise LookupError(f"The schema has no {one.name}, which is said to be deprecated.")
        for each in marked:
            each["deprecated"] = True
    return result
