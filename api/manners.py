"""What every view under /api/ does alike, whatever it is about: the manners of the API."""

from functools import cache, partial

from django.template.response import SimpleTemplateResponse
from rest_framework.permissions import SAFE_METHODS

from . import compiled, conditional, deprecation, idempotency, metadata, streams, throttling
from .filters import FilterBackend
from .middleware import vary
from .permissions import HasScope, required_scopes
from .renderers import JSONRenderer, is_usual
from .response import Response

JSON = JSONRenderer(), JSONRenderer.media_type
HEADERS = {}  # of the views that there are


@cache
def instances(classes):
    """Return one of each of `classes`, which keep nothing of a request."""
    return [cls() for cls in classes]


class Manners:
    """Mixin before DRF's own view classes.

    A view that shows or changes one thing sets `subject` to it, a Versioned row: its version is
    in the ETag.  A view of a list answers with `list`, or with `list_of` where it has rows that are
    no queryset, and overrides `prepare` where its rows need to be joined with something.

    A view with `rows_for(caller)`, the queryset of what it shows to somebody, is compiled
    (compiled.py) as far as its serializer can be; what `get_queryset` or `filter_queryset` of its
    own did besides would not be done.  `within` narrows that, by lookups, to what its path names;
    `has_subject` says that what it shows one by one is Versioned; `gathered` names the columns that
    have the ids of what a list within shows, by the source of its field.
    """

    subject, has_subject, within, gathered = None, False, {}, {}

    @property
    def scopes_wanted(self):
        """The scopes that this request needs, for the challenge of a 401."""
        judged = HasScope in self.permission_classes
        return required_scopes(self, self.request.method) if judged else []

    @property
    def default_response_headers(self):
        # DRF looks for each method that there may be on each view that it makes.
        kind = type(self), tuple(getattr(self, "action_map", ())), len(self.renderer_classes)
        if kind not in HEADERS:
            HEADERS[kind] = super().default_response_headers
        return HEADERS[kind].copy()

    def get_authenticators(self):
        return instances(tuple(self.authentication_classes))

    def get_parsers(self):
        return instances(tuple(self.parser_classes))

    def get_permissions(self):
        return instances(tuple(self.permission_classes))

    def initialize_request(self, request, *args, **kwargs):
        of_drf = super().initialize_request(request, *args, **kwargs)
        # Asked for a dozen times; DRF would look in its own request first, and then in Django's.
        of_drf.META, of_drf.method, of_drf.path = request.META, request.method, request.path
        of_drf.scheme, of_drf.get_host = request.scheme, request.get_host
        return of_drf

    def perform_content_negotiation(self, request, force=False):
        if not force:
            # DRF's first step: who calls is charged before anything is asked, so that what is
            # refused costs them too, and a bad credential is 401 whatever else is wrong.
            throttling.charge(request)
        # A method that is not there is 405, whatever format its answer is wanted in.
        is_there = hasattr(self, request.method.lower())
        if is_there and self.renderer_classes[0] is JSONRenderer and is_usual(request):
            return JSON
        return super().perform_content_negotiation(request, force or not is_there)

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if not hasattr(self, request.method.lower()):  # it is 405, whatever else is wrong
            return
        if request.query_params:
            FilterBackend().refuse_unknown(request, self)
        if request.method == "POST":
            conditional.check_collection(request)
            # DRF looks its handler up after this.
            self.post = partial(idempotency.answer_once, self, self.post)
        elif request.method not in SAFE_METHODS:
            # Read before anything is locked: a slow sender keeps nobody waiting.
            request.data  # noqa: B018

    def list(self, request, *args, **kwargs):
        answer = compiled.stream if streams.is_wanted(request) else compiled.page
        return answer(self) or self.list_of(self.get_queryset())

    def retrieve(self, request, *args, **kwargs):
        found = compiled.one(self)
        if found is None:
            return super().retrieve(request, *args, **kwargs)
        data, self.subject = found
        self.check_object_permissions(request, self.subject)
        return Response(data)

    def list_of(self, rows):
        """Answer with `rows`, a queryset or a list, filtered: a page, or all in a stream."""
        rows = self.filter_queryset(rows)
        if streams.is_wanted(self.request):
            return streams.answer(self, partial(self.batches, rows))
        page = self.paginate_queryset(rows)
        self.prepare(page)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def batches(self, rows, sizes):
        """Yield what is shown of `rows` as lists of dicts of the lengths `sizes`."""
        write = self.get_serializer().to_representation
        for batch in self.paginator.batches(rows, sizes):
            self.prepare(batch)
            yield [write(row) for row in batch]

    def prepare(self, rows):
        """Attach to the `rows` about to be shown what they need, in as few queries for all."""

    def finalize_response(self, request, response, *args, **kwargs):
        if "Vary" in self.headers:
            vary(response, self.headers.pop("Vary"))
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == 415:
            for name, value in metadata.accepted(self).items():
                response[name] = value
        throttling.tell(request, response)
        deprecation.tell(self, request, response)
        if isinstance(response, SimpleTemplateResponse):
            response.add_post_render_callback(partial(conditional.answer, self, request))
        return response
