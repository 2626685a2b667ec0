"""What the OpenAPI document says beyond what views and serializers say by themselves."""

from drf_spectacular.openapi import AutoSchema as BaseAutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from .errors import MEDIA_TYPE, PROBLEMS
from .permissions import HasScope, required_scopes

# Where examples live: the document is the same wherever it is made.
EXAMPLE_HOST = "https://pets.example.org"
PROBLEM_STATUSES = {
    "400": "The request does not hold what it should, or cannot be read.",
    "401": "No credential, or one that does not hold.",
    "403": "The credential may not do this, or the request came without encryption.",
    "404": "There is nothing here that you can see.",
    "406": "No representation that you accept.",
    "411": "The length of the body is missing.",
    "413": "The body is too large.",
    "415": "The media type of the body is not supported.",
    "429": "Too many requests.",
    "500": "Something went wrong on our side.",
}
PROBLEM_EXAMPLES = {
    "400": ("invalid", "{field}: This field is required."),
    "401": ("invalid_credential", "The access token has expired."),
    "403": ("insufficient_scope", "This needs the scope {scope}, which the credential lacks."),
    "404": ("not_found", "There is nothing here that you can see."),
    "406": ("not_acceptable", "Available are: application/json, text/html."),
    "411": ("length_required", "Send Content-Length; chunks are not read."),
    "413": ("too_large", "The body may have 1,048,576 bytes at most."),
    "415": ("unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    "429": ("throttled", "Too many credentials were reported. Expected available in 12 seconds."),
    "500": ("internal_error", "The request failed; it is logged under its request_id."),
}
PLAIN_HTTP = (
    "insecure_transport",
    "This came over plain HTTP, where anybody on the way can read it; call the same address with "
    "https. A key that was sent counts as exposed: replace it.",
)
SUCCESSES = {"200": "As asked.", "201": "Created.", "202": "Received.", "204": "Removed."}
RETRY_AFTER = {"description": "How many seconds to wait.", "schema": {"type": "integer"}}
LOCATION = {"description": "Where it is.", "schema": {"type": "string", "format": "uri"}}
REQUEST_ID = {"description": "The id of this request.", "schema": {"type": "string"}}
CHALLENGE = {
    "description": "What is missing (RFC 6750 §3, RFC 9728 §5.1).",
    "schema": {"type": "string"},
}
LINK = {"description": "The next and the previous page.", "schema": {"type": "string"}}


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
        for status, answer in responses.items():
            headers = answer.setdefault("headers", {})
            headers["X-Request-ID"] = REQUEST_ID
            if status in SUCCESSES:
                answer["description"] = SUCCESSES[status]
            if status == "201":
                headers["Location"] = LOCATION
            if status in {"401", "403"}:
                headers["WWW-Authenticate"] = CHALLENGE
            if status == "429":
                headers["Retry-After"] = RETRY_AFTER
            if status == "200" and self._get_paginator() and self._is_list_view():
                headers["Link"] = LINK
        return dict(sorted(responses.items()))

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
        statuses = {"400", "401", "403", "406", "411", "413", "500"}
        if "{" in self.path:
            statuses.add("404")
        if self.method in {"POST", "PUT", "PATCH"}:
            statuses.add("415")
        if getattr(self.view, "is_throttled", False):
            statuses.add("429")
        return statuses


# What a caller may not get to see, with the others of its object.
SOMETIMES = {"Pet": {"microchip"}, "Profile": {"email"}}


def tell_what_is_certain(result, generator, request, public):
    """Postprocessing: no body has fields of its own, and an answer has all of its fields."""
    for name, component in result["components"]["schemas"].items():
        if "properties" not in component:
            continue
        if name.endswith("Request"):
            component["additionalProperties"] = False
        else:
            certain = component["properties"].keys() - SOMETIMES.get(name, set())
            component["required"] = sorted(certain)
    return result
