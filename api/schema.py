"""What the OpenAPI document says beyond what views and serializers say by themselves."""

from drf_spectacular.openapi import AutoSchema as BaseAutoSchema

from .errors import MEDIA_TYPE
from .permissions import HasScope, required_scopes

PROBLEM_STATUSES = {
    "400": "The request does not hold what it should, or cannot be read.",
    "401": "No credential, or one that does not hold.",
    "403": "The credential may not do this.",
    "404": "There is nothing here that you can see.",
    "406": "No representation that you accept.",
    "411": "The length of the body is missing.",
    "413": "The body is too large.",
    "415": "The media type of the body is not supported.",
    "500": "Something went wrong on our side.",
}
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
            answer = self._get_response_for_code(ProblemSerializer, status, [MEDIA_TYPE])
            responses.setdefault(status, answer | {"description": PROBLEM_STATUSES[status]})
        for status, answer in responses.items():
            headers = answer.setdefault("headers", {})
            headers["X-Request-ID"] = REQUEST_ID
            if status in {"401", "403"}:
                headers["WWW-Authenticate"] = CHALLENGE
            if status == "200" and self._get_paginator() and self._is_list_view():
                headers["Link"] = LINK
        return dict(sorted(responses.items()))

    def problem_statuses(self):
        statuses = {"400", "401", "406", "411", "413", "500"}
        if HasScope in self.view.permission_classes:
            statuses.add("403")
        if "{" in self.path:
            statuses.add("404")
        if self.method in {"POST", "PUT", "PATCH"}:
            statuses.add("415")
        return statuses
