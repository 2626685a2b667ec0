"""What the OpenAPI document says beyond what views and serializers say by themselves."""

import io

from drf_spectacular.openapi import AutoSchema as BaseAutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.serializers import ListSerializer

from accounts.authentication import InsecureTransport

from . import formats, selection
from .conditional import PreconditionFailed, PreconditionRequired
from .errors import MEDIA_TYPE, PROBLEMS
from .idempotency import KeyInUse, KeyReused
from .metadata import ACCEPTED
from .permissions import HasScope, required_scopes
from .renderers import CSVRenderer, NDJSONRenderer

# Where examples live: the document is the same wherever it is made.
EXAMPLE_HOST = "https://pets.example.org"
PROBLEM_STATUSES = {
    "400": "The request does not hold what it should, or cannot be read.",
    "401": "No credential, or one that does not hold.",
    "403": "The credential may not do this, or the request came without encryption.",
    "404": "There is nothing here that you can see.",
    "406": "No representation that you accept.",
    "409": "A request with this Idempotency-Key is still under way.",
    "411": "The length of the body is missing.",
    "412": "It is no longer the version that If-Match names.",
    "413": "The body is too large.",
    "415": "The media type of the body is not supported.",
    "422": "The Idempotency-Key was used for another request.",
    "428": "This server wants If-Match with every change.",
    "429": "Too many requests.",
    "500": "Something went wrong on our side.",
}


def example_of(exception):
    return exception.default_code, exception.default_detail


PROBLEM_EXAMPLES = {
    "400": ("invalid", "{field}: This field is required."),
    "401": ("invalid_credential", "The access token has expired."),
    "403": ("insufficient_scope", "This needs the scope {scope}, which the credential lacks."),
    "404": ("not_found", "There is nothing here that you can see."),
    "406": ("not_acceptable", "Available are: application/json, text/html."),
    "409": example_of(KeyInUse),
    "411": ("length_required", "Send Content-Length; chunks are not read."),
    "413": ("too_large", "The body may have 1,048,576 bytes at most."),
    "412": example_of(PreconditionFailed),
    "415": ("unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    "422": example_of(KeyReused),
    "428": example_of(PreconditionRequired),
    "429": (
        "throttled",
        "You may call 6,000 times in 60 seconds. Expected available in 12 seconds.",
    ),
    "500": ("internal_error", "The request failed; it is logged under its request_id."),
}
PLAIN_HTTP = example_of(InsecureTransport)
# What is answered alike wherever it comes from: told once.
ALIKE = {"406", "409", "411", "412", "413", "415", "422", "428", "429", "500"}
SUCCESSES = {"200": "As asked.", "201": "Created.", "202": "Received.", "204": "Removed."}
NOT_MODIFIED = "What you have is still right; this costs nothing of your limit."


def header(description, example, **schema):
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


HEADERS = {
    **{
        name: header(f"What {method} takes here.", "application/json")
        for method, name in ACCEPTED.items()
    },
    "Content-Location": header(
        "Where what this answer shows can be read.", f"{EXAMPLE_HOST}/api/v1/pets/1/", format="uri"
    ),
    "Content-Disposition": header("A name for the file.", 'attachment; filename="pets.csv"'),
    "Deprecation": header(
        "When something that this call uses was deprecated (RFC 9745).", "@1767225600"
    ),
    "ETag": header(
        "The version of what this answer shows, for If-None-Match and If-Match.",
        '"pet1-2f0c6a5b9d13e874.9e3779b97f4a7c15f39cc060"',
    ),
    "Idempotent-Replayed": header(
        "`true` where this is the answer to an earlier request with the same Idempotency-Key.",
        "true",
        enum=["true"],
    ),
    "Last-Modified": header("When it was changed last.", "Fri, 02 Jan 2026 03:04:05 GMT"),
    "Link": header(
        "The next and the previous page (RFC 8288).",
        f'<{EXAMPLE_HOST}/api/v1/pets/?cursor=W2ZhbHNlLCBbMV1d.signature>; rel="next"',
    ),
    "Location": header("Where it is.", f"{EXAMPLE_HOST}/api/v1/pets/1/", format="uri"),
    "RateLimit": header(
        "What is left of your limit and for how many seconds (draft-ietf-httpapi-ratelimit-headers"
        "); none is sent where there is no limit.",
        '"credential";r=5999;t=60',
    ),
    "RateLimit-Policy": header(
        "Your limit: so many requests in so many seconds.", '"credential";q=6000;w=60'
    ),
    "Retry-After": {
        "description": "How many seconds to wait.", "schema": {"type": "integer"}, "example": 12,
    },
    "Server-Timing": header(
        "What the time went to, in milliseconds.", 'app;dur=5.1, db;dur=1.2;desc="2 queries"'
    ),
    "Sunset": header(
        "When something that this call uses will be gone (RFC 8594).",
        "Fri, 01 Jan 2027 00:00:00 GMT",
    ),
    "Traceparent": header(
        "This request in your trace, or in one of its own (W3C Trace Context).",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    "WWW-Authenticate": header(
        "What is missing (RFC 6750 §3, RFC 9728 §5.1).", 'Bearer realm="pawprint"'
    ),
    "X-Request-ID": header("The id of this request.", "0123456789abcdef0123456789abcdef"),
}  # fmt: skip
EVERYWHERE = ["RateLimit", "RateLimit-Policy", "Traceparent", "X-Request-ID"]


def parameter(name, description, example=None, **schema):
    described = {"description": description, "schema": {"type": "string", **schema}}
    return {"name": name, "in": "header", **described} | ({"example": example} if example else {})


PARAMETERS = {
    "IdempotencyKey": parameter(
        "Idempotency-Key",
        "Of your choice, such as a UUID, and new for each thing you do: a request that is sent "
        "again with it, within 24 hours, is answered as the first one was and does nothing more.",
        # No example: who copied it would use it twice.
        pattern=r'^(?:[!#-+.-~-]{1,255}|"[ !#-\[\]-~]{1,255}")$',
    ),
    "IfMatch": parameter(
        "If-Match",
        "The ETag of what you read: nothing is changed unless it is still that version.",
        HEADERS["ETag"]["example"],
    ),
    "IfModifiedSince": parameter(
        "If-Modified-Since",
        "The Last-Modified of what you have, where you keep no ETag.",
        HEADERS["Last-Modified"]["example"],
    ),
    "IfNoneMatch": parameter(
        "If-None-Match",
        "The ETag of what you have: the answer is an empty 304 while that is still right.",
        HEADERS["ETag"]["example"],
    ),
    "IfUnmodifiedSince": parameter(
        "If-Unmodified-Since",
        "The Last-Modified of what you read, where you keep no ETag: If-Match is better.",
        HEADERS["Last-Modified"]["example"],
    ),
    "RequestID": parameter(
        "X-Request-ID",
        "8 to 64 letters, digits, dots, dashes or underscores, by which this request is logged "
        "and answered; else it gets one.",
        HEADERS["X-Request-ID"]["example"],
    ),
    "Traceparent": parameter(
        "traceparent",
        "Your trace, which this request then is a part of (W3C Trace Context).",
        HEADERS["Traceparent"]["example"],
    ),
}  # fmt: skip
FORMAT = OpenApiParameter(
    "format",
    {"type": "string", "enum": ["csv", "json", "ndjson"]},
    description="Instead of the header Accept. CSV and NDJSON are the whole list, not a page.",
)
CHANGES = {"PUT", "PATCH", "DELETE"}


def reference(kind, name):
    return {"$ref": f"#/components/{kind}/{name}"}


class AutoSchema(BaseAutoSchema):
    """drf-spectacular's, with the scopes HasScope asks for and every problem that can come."""

    def get_required_scopes(self):
        if HasScope in self.view.permission_classes:
            return required_scopes(self.view, self.method)
        return []

    def _get_response_bodies(self, direction="response"):
        from .serializers import ProblemSerializer  # which imports views' models: not at start

        responses = super()._get_response_bodies(direction)
        for status in self.problem_statuses():
            described = OpenApiResponse(
                ProblemSerializer, PROBLEM_STATUSES[status], [self.problem_example(status)]
            )
            answer = self._get_response_for_code(described, status, [MEDIA_TYPE])
            responses.setdefault(status, answer)
        if self.method == "GET":
            responses["304"] = {"description": NOT_MODIFIED}
            if self.is_list():
                responses["200"]["content"] |= self.streams(responses["200"]["content"])
        for status, answer in responses.items():
            if status in SUCCESSES:
                answer["description"] = SUCCESSES[status]
            headers = answer.setdefault("headers", {})
            headers |= {name: reference("headers", name) for name in self.header_names(status)}
        return dict(sorted(responses.items()))

    def _get_request_body(self, direction="request"):
        body = super()._get_request_body(direction)
        if body is None:
            return None
        if self.method == "POST":  # also where it takes one of several things
            body["required"] = True
        serializer = self.get_request_serializer()
        if isinstance(serializer, ListSerializer):
            bounds = {"minItems": serializer.min_length, "maxItems": serializer.max_length}
            for content in body["content"].values():
                content["schema"] |= bounds
        return body

    def streams(self, content):
        """Return what a list is as CSV and as NDJSON, with the example that it is in JSON."""
        examples = content["application/json"].get("examples", {}).values()
        rows = [row for example in examples for row in example["value"]["results"]]
        streams = {}
        for renderer in (CSVRenderer, NDJSONRenderer):
            described = {"schema": {"type": "string"}}
            if rows:
                text = io.StringIO(newline="")
                formats.write(rows, renderer.format, text, list(rows[0]))
                described["example"] = text.getvalue()
            streams[renderer.media_type] = described
        return streams

    def header_names(self, status):
        """Return the names of the headers that an answer of `status` may have."""
        names = list(EVERYWHERE)
        succeeded = status.startswith("2")
        if succeeded or status == "304":
            names += ["Deprecation", "Link", "Server-Timing", "Sunset"]
        if status in {"200", "304"} and self.method == "GET":
            names += ["ETag", *(["Last-Modified"] if self.has_time() else [])]
        if status in {"200", "201"} and self.method in {"PUT", "PATCH"} and not self.is_list():
            names += ["Content-Location", "ETag"]
        if status == "201":
            names += ["ETag", "Location"]
        if self.method == "POST" and (succeeded or status == "400"):
            names += ["Idempotent-Replayed"]
        if status == "200" and self.method == "GET" and self.is_list():
            names += ["Content-Disposition"]
        if status in {"401", "403"}:
            names += ["WWW-Authenticate"]
        if status == "415":
            names += ACCEPTED.values()
        if status in {"409", "429"}:
            names += ["Retry-After"]
        return sorted(set(names))

    def has_time(self):
        """Return whether it is about one thing that is said when it was changed."""
        return self.path == "/api/v1/pets/{id}/"

    def is_list(self):
        return bool(self._get_paginator() and self._is_list_view())

    def get_override_parameters(self):
        parameters = super().get_override_parameters()
        if self.method == "GET":
            parameters = [*parameters, *selection.parameters(self.view)]
            if self.is_list():
                parameters.append(FORMAT)
        return parameters

    def _get_parameters(self):
        names = ["RequestID", "Traceparent"]
        if self.method == "GET":
            names += ["IfNoneMatch", *(["IfModifiedSince"] if self.has_time() else [])]
        elif self.method == "POST":
            names += ["IdempotencyKey"]
        elif self.method in CHANGES:
            names += ["IfMatch", *(["IfUnmodifiedSince"] if self.has_time() else [])]
        return [*super()._get_parameters(), *(reference("parameters", n) for n in sorted(names))]

    def get_auth(self):
        auth = super().get_auth()
        # What anybody may call needs none of them; one that is sent must hold all the same.
        return auth if HasScope in self.view.permission_classes else [*auth, {}]

    def problem_example(self, status):
        """Return an example of the problem that answers this operation with `status`."""
        code, detail = PROBLEM_EXAMPLES[status]
        if status == "403" and HasScope not in self.view.permission_classes:
            code, detail = PLAIN_HTTP
        field = getattr(self.view, "example_field", "species")
        errors = [{"field": field, "code": "required", "message": "This field is required."}]
        value = {
            "type": f"{EXAMPLE_HOST}/docs/problems/{code}/",
            "title": PROBLEMS[code],
            "status": int(status),
            "detail": detail.format(scope=" ".join(self.get_required_scopes()), field=field),
            "instance": self.path,
            "errors": errors if code == "invalid" else [],
            "request_id": "0123456789abcdef0123456789abcdef",
        }
        return OpenApiExample(PROBLEMS[code], value, status_codes=[status], response_only=True)

    def problem_statuses(self):
        statuses = {"400", "401", "403", "406", "411", "413", "429", "500"}
        if self.method == "GET":
            statuses.add("412")  # to If-Match, which also reading may have
        if "{" in self.path:
            statuses.add("404")
        if self.method in {"POST", "PUT", "PATCH"}:
            statuses.add("415")
        if self.method == "POST":
            statuses |= {"409", "422"}
        if self.method in CHANGES:
            statuses |= {"412", "428"}
        return statuses


# What `expand=` shows in full, and as what; and what stands there else, which has nothing more: a
# reader can tell them apart.
EXPANDED = {"owner": "User", "pets": "Pet"}
SHORT_FORMS = {"Owner", "PetSummary"}
# What a caller may not get to see, with the others of its object.
SOMETIMES = {"Pet": {"microchip"}, "Profile": {"email"}}


def tell_what_is_certain(result, generator, request, public):
    """Postprocessing: no body has fields of its own, and an answer has all of its fields; what
    operations have in common stands once."""
    result["components"] |= {"headers": HEADERS, "parameters": PARAMETERS, "responses": {}}
    for name, component in result["components"]["schemas"].items():
        if "properties" not in component:
            continue
        if name.endswith("Request") or name in SHORT_FORMS:
            component["additionalProperties"] = False
        if not name.endswith("Request"):
            certain = component["properties"].keys() - SOMETIMES.get(name, set())
            component["required"] = sorted(certain)
    for item in result["paths"].values():
        for operation in item.values():
            answers = operation["responses"]
            for status in sorted(ALIKE & answers.keys()):
                code, _ = PROBLEM_EXAMPLES[status]
                result["components"]["responses"].setdefault(code, answers[status])
                answers[status] = reference("responses", code)
        if any(one.get("name") == "fields" for one in item.get("get", {}).get("parameters", [])):
            tell_what_is_selected(item["get"], result["components"]["schemas"])
    return result


def tell_what_is_selected(operation, schemas):
    """Let `operation` answer a selection of the fields that it shows, some of them in full."""
    shown = operation["responses"]["200"]["content"]["application/json"]["schema"]
    name = component_name(shown)
    if name is not None and name.startswith("Paginated"):
        results = schemas[name]["properties"]["results"]
        shown = results["items"]
        name = component_name(shown)
    if name is None:  # of a list that another operation answers too
        return
    whole = schemas[name]
    properties = {
        field: in_full(field, described) if field in EXPANDED else described
        for field, described in whole["properties"].items()
    }
    schemas[f"{name}Selection"] = {
        "type": "object",
        "description": f"What `fields` leaves of {name}, with what `expand` shows in full.",
        "properties": properties,
    }
    shown.clear()
    shown["anyOf"] = [reference("schemas", name), reference("schemas", f"{name}Selection")]


def component_name(schema):
    return schema["$ref"].rpartition("/")[2] if "$ref" in schema else None


def in_full(field, described):
    """Return `described`, a field or a list of it, as what is expanded or what is not."""
    full = reference("schemas", EXPANDED[field])
    if described.get("type") == "array":
        return described | {"items": {"anyOf": [full, described["items"]]}}
    return {"anyOf": [full, reference("schemas", "Owner")], "readOnly": True}
