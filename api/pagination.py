"""Pages by keyset: a cursor remembers where a page ended, so no page is dearer than the first.

While others write no row is given twice and none is missed, but for one that a change moves to
another place in the order (by name, by the time of the change).  Nothing is counted.
"""

import base64
import hashlib
import hmac
import json
import re
from datetime import date
from functools import lru_cache, partial
from itertools import islice

from django.core import signing
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.utils.urls import replace_query_param

from . import steering
from .response import Response

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 25, 100
# Parameters that may change from page to page.
PLAIN = re.compile("[A-Za-z0-9/._~-]+")  # what an address has as it is
FREE_PARAMETERS = {"cursor", "expand", "fields", "format", "page_size"}


def encode(value):
    """Return `value` as JSON has it: a time in ISO 8601, as the serializers write it."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, date) else value


class SinglePage(BasePagination):
    """All there is on one page, in the shape that every list has."""

    page_query_params = ()
    next = previous = None

    def paginate_queryset(self, queryset, request, view=None):
        return list(queryset)

    def batches(self, queryset, sizes):
        """Yield all the rows as lists of the lengths `sizes`, each read when it is asked for."""
        rows = iter(queryset)
        for size in sizes:
            yield (batch := list(islice(rows, size)))
            if len(batch) < size:
                return

    def get_paginated_response(self, data):
        links = [(self.next, "next"), (self.previous, "prev")]
        header = ", ".join(f'<{url}>; rel="{rel}"' for url, rel in links if url)
        return Response(
            {"next": self.next, "previous": self.previous, "results": data},
            headers={"Link": header} if header else None,
        )

    def get_paginated_response_schema(self, schema):
        link = {
            "type": ["string", "null"],
            "format": "uri",
            "example": "https://pets.example.org/api/v1/pets/?cursor=W2ZhbHNlLCBbMV1d.signature",
        }
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": {**link, "description": "The next page, null on the last one."},
                "previous": {**link, "description": "The page before, null on the first one."},
                "results": schema,
            },
        }


class KeysetPagination(SinglePage):
    """Pages of `page_size` rows in the queryset's own order, which must be total.

    A cursor holds the values of the ordering at the page's edge, and is signed together with the
    path and the other parameters: one that was made up, or comes from another query, is refused.
    """

    page_query_params = ("cursor", "page_size")

    def paginate_queryset(self, queryset, request, view=None):
        ordering = ordering_of(queryset)
        return self.turn_to(request, ordering, reader(queryset), partial(position_of, ordering))

    def turn_to(self, request, ordering, read, position_of):
        """Return the rows of the page that `request` asks for, and keep the links around it.

        `read(most, position, backwards)` returns rows beyond a position (None: from the first on),
        `position_of(row)` where a row stands.
        """
        self.request, self.ordering, self.position_of = request, ordering, position_of
        size = self.page_size(request)
        backwards, position = self.read_cursor(request)
        rows = read(size + 1, position, backwards)
        more, rows = len(rows) > size, rows[:size]
        if backwards:
            rows.reverse()
        self.next = self.link(rows[-1], False) if rows and (more or backwards) else None
        has_previous = more if backwards else position is not None
        self.previous = self.link(rows[0], True) if rows and has_previous else None
        return rows

    def batches(self, queryset, sizes):
        ordering, read, position = ordering_of(queryset), reader(queryset), None
        for size in sizes:
            yield (batch := read(size, position))
            if len(batch) < size:
                return
            position = position_of(ordering, batch[-1])

    def page_size(self, request):
        given = request.query_params.get("page_size")
        if given is None:
            return DEFAULT_PAGE_SIZE
        if not re.fullmatch("[0-9]{1,3}", given) or not 1 <= int(given) <= MAX_PAGE_SIZE:
            raise ValidationError({"page_size": f"Give a number from 1 to {MAX_PAGE_SIZE}."})
        return int(given)

    def signer(self):
        """Return the Signer for what a cursor belongs to: the path, the order, and every parameter
        that narrows."""
        parameters = sorted(
            (name, tuple(values))
            for name, values in self.request.query_params.lists()
            if name not in FREE_PARAMETERS
        )
        return signer(self.request.path, tuple(self.ordering), tuple(parameters))

    def read_cursor(self, request):
        """Return `(backwards, position)`; the position is None on the first page."""
        cursor = request.query_params.get("cursor")
        if cursor is None:
            return False, None
        try:
            payload = self.signer().unsign(cursor)
            return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (signing.BadSignature, ValueError):
            raise ValidationError(
                {"cursor": "The cursor is not one of this query; follow the links of its pages."}
            ) from None

    def link(self, row, backwards):
        """Return the URL of the page that begins beyond `row`."""
        position = [encode(value) for value in self.position_of(row)]
        payload = base64.urlsafe_b64encode(json.dumps([backwards, position]).encode())
        cursor = self.signer().sign(payload.decode().rstrip("="))
        request = self.request
        if not request.META.get("QUERY_STRING") and PLAIN.fullmatch(request.path):
            return f"{request.scheme}://{request.get_host()}{request.path}?cursor={cursor}"
        return replace_query_param(request.build_absolute_uri(), "cursor", cursor)

    def get_schema_operation_parameters(self, view):
        return [
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "Where the page begins: taken from `next` or `previous`.",
            },
            {
                "name": "page_size",
                "in": "query",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_PAGE_SIZE,
                    "default": DEFAULT_PAGE_SIZE,
                },
                "description": "How many results a page has at most.",
            },
        ]


class Signer(signing.Signer):
    """Django's, which makes its key anew for each signature."""

    def __init__(self, salt):
        super().__init__(salt=salt, sep=".")
        self.made_of_key = hashlib.sha256(f"{salt}signer{self.key}".encode()).digest()

    def signature(self, value, key=None):
        if key is not None and key != self.key:  # one that was ours before
            return super().signature(value, key)
        digest = hmac.digest(self.made_of_key, value.encode(), "sha256")
        return signing.b64_encode(digest).decode()


@lru_cache(maxsize=500)
def signer(*belongs_to):
    return Signer(f"cursor:{json.dumps(belongs_to)}")


def ordering_of(queryset):
    return queryset.query.order_by or queryset.model._meta.ordering


def position_of(ordering, row):
    """Return where `row` stands: its values of what the list is ordered by."""
    names = [field.lstrip("-") for field in ordering]
    return [row[name] if isinstance(row, dict) else getattr(row, name) for name in names]


def reader(rows):
    """Return `read(most, position, backwards)` as `turn_to` takes it, for a queryset."""
    ordering = ordering_of(rows)
    known = steering.conditions(rows, ordering)
    chosen = steering.choose(known, lambda condition: condition.beyond_many().exists())

    def read(most, position, backwards=False):
        found = []
        for part in beyond(rows, ordering, position, backwards):
            found += steering.steer(part, known, chosen)[: most - len(found)]
            if len(found) == most:
                break
        return found

    return read


def beyond(rows, ordering, position, backwards=False):
    """Return those of `rows`, a queryset, that follow a position (None: all); backwards, those
    before it, the nearest first.

    As querysets that are to be read one after the other: what is like the row there in all that is
    ordered by but the last, then what is like it in all but the last two, and so on.  An index is
    entered at each at once, however many have the same name; in one query it would be walked from
    the first of them.
    """
    if backwards:
        rows = rows.order_by(*map(reverse, ordering))
    if position is None:
        return [rows]
    names, parts = [field.lstrip("-") for field in ordering], []
    for last, field in reversed(list(enumerate(ordering))):
        alike = dict(zip(names[:last], position, strict=False))
        towards = "lt" if field.startswith("-") != backwards else "gt"
        parts.append(rows.filter(**alike, **{f"{names[last]}__{towards}": position[last]}))
    return parts


def reverse(field):
    return field[1:] if field.startswith("-") else f"-{field}"
