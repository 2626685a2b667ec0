"""What is declared in serializers and filters, compiled once: rows of the database become JSON.

To answer with a page, DRF asks each field of each object what it is, and Django writes the query
anew: together ten times what the database takes.  Both come to the same whenever the fields and
filters are the same, so they are asked once for each Plan: a view, what is selected of it, by which
filters and in which order, and the kind of caller.  The view says what its rows are (`rows_for`),
the filterset narrows them, the serializer says what is written; nothing is described here.  A Plan
is SQL with gaps (accounts.prepared) and a function that makes dicts of its rows.

What comes out is byte for byte what the serializer writes (tests/test_compiled.py).  Whatever is
not known here is not compiled: `page` and `one` return None, and the view goes the long way.
"""

import contextlib
import json
from datetime import date, datetime
from functools import partial
from itertools import repeat
from operator import attrgetter
from types import SimpleNamespace
from urllib.parse import quote

from django.core.exceptions import FieldDoesNotExist
from django.db import connection, models
from django.db.models import F, Func
from django.http import Http404
from django.urls import NoReverseMatch, reverse
from django.utils.http import RFC3986_SUBDELIMS
from rest_framework import serializers

from accounts.models import Versioned
from accounts.prepared import Gap, Prepared

from . import steering, streams
from .filters import FilterBackend, given_filters
from .pagination import beyond, ordering_of
from .renderers import loads
from .serializers import PrivateFields

MOST = 250  # plans that are kept, and queries of theirs: each takes some 30 kB


class NotCompiledError(Exception):
    """This is left to DRF."""


# --- From a row to what JSON is made of --------------------------------------------------------

# Fields that show what is kept as it is, and of what kind that must be.
AS_IT_IS = {
    serializers.BigIntegerField: models.BigIntegerField,
    serializers.BooleanField: models.BooleanField,
    serializers.CharField: (models.CharField, models.TextField),
    serializers.ChoiceField: models.CharField,
    serializers.IntegerField: models.IntegerField,
}
TIMES = {serializers.DateField: models.DateField, serializers.DateTimeField: models.DateTimeField}
# Times in ISO 8601, as the database writes them: it has them as text anyway, or makes that sooner
# than an object is made of them and text of the object.
BY_DATABASE = {
    "sqlite": {  # which keeps text, in UTC
        "DateField": "%(expressions)s || ''",
        "DateTimeField": "replace(%(expressions)s, ' ', 'T') || 'Z'",
    },
    "postgresql": {
        "DateTimeField": "replace(to_char(%(expressions)s AT TIME ZONE 'UTC', "
        """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000', '')""",
    },
}
BY_PYTHON = {"DateField": "({0} and {0}.isoformat())",
             "DateTimeField": "({0} and {0}.isoformat()[:-6] + 'Z')"}  # fmt: skip


class Writer:
    """Writes `rows`, a queryset, as `serializer` writes its objects.

    A row has the `columns`, which are names of fields: those that are written and the `others`.
    `gathered` says which hold the ids of what a list within shows, by the source of its field.

    `write(rows, base, caller, sees_all, lists)` returns dicts.  `base` is scheme and host, `caller`
    the id of the person who reads, `sees_all` whether they are shown what is others' own, and
    `lists` has what is shown in lists, `{source: {id: dict}}`.
    """

    def __init__(self, rows, serializer, others=(), gathered=None):
        self.rows, self.gathered = rows, gathered or {}
        self.columns, self.lists = [], {}
        names = {"in_path": in_path}
        row = self.source(serializer, "", names)
        for column in others:
            self.at(column)
        self.readers = [reader_of(kept_in(rows, column), column) for column in self.columns]
        code = f"lambda rows, base, caller, sees_all, lists: [{row} for r in rows]"
        self.write = eval(code, names)  # noqa: S307 -- made of declarations, of nothing that is sent

    def row_of(self, thing):
        """Return the row that the database has of `thing`, a model's object that was written."""
        return [read(thing) for read in self.readers]

    def selected(self):
        """Return the arguments of `values_list` for a row."""
        return [self.as_selected(column) for column in self.columns]

    def as_selected(self, column):
        template = by_database(kept_in(self.rows, column))
        if template is None:
            return column
        return Func(F(column), template=template, output_field=models.TextField())

    def at(self, column):
        """Return the source of what a row has in `column`."""
        if column not in self.columns:
            kept_in(self.rows, column)  # there is one
            self.columns.append(column)
        return f"r[{self.columns.index(column)}]"

    def source(self, serializer, prefix, names):
        """Return the source of a dict of what `serializer` shows."""
        private = getattr(serializer, "private_fields", ())
        known = PrivateFields if private else serializers.Serializer
        if not is_inherited(serializer, known, "to_representation", "may_see_all"):
            raise NotCompiledError(f"{type(serializer).__name__} writes in a way of its own.")
        items = {
            field.field_name: f"{field.field_name!r}: {self.shown(field, prefix, names)}"
            for field in serializer._readable_fields
        }
        whole = f"{{{', '.join(items.values())}}}"
        if not items.keys() & set(private):
            return whole
        rest = ", ".join(item for name, item in items.items() if name not in private)
        return f"({whole} if sees_all or {self.at(f'{prefix}owner_id')} == caller else {{{rest}}})"

    def shown(self, field, prefix, names):
        """Return the source of what `field` shows of a row."""
        link = serializers.HyperlinkedIdentityField
        if isinstance(field, link) and is_inherited(field, link, "to_representation", "get_url"):
            before, after = around(field)
            column = f"{prefix}{field.lookup_field}"
            key = self.at(column)
            # A number needs no quotes, and is written as it is.
            is_number = isinstance(kept_in(self.rows, column), models.IntegerField)
            written = f"str({key})" if is_number else f"in_path({key})"
            return f"base + {before!r} + {written} + {after!r}"
        column = f"{prefix}{'__'.join(field.source_attrs)}"
        if isinstance(field, serializers.ListSerializer) and column in self.gathered:
            self.lists[column] = field.child
            ids = ", ".join(map(self.at, self.gathered[column]))
            return f"[lists[{column!r}][id] for id in ({ids},) if id in lists[{column!r}]]"
        if isinstance(field, serializers.Serializer):
            return self.source(field, f"{column}__", names)
        kept = kept_in(self.rows, column)
        return self.as_json(field, self.at(column), kept, names)

    def as_json(self, field, value, kept, names):
        """Return the source of what `field` makes of a `value` that the model's field `kept`."""
        kind = kept.get_internal_type()
        tags = serializers.ListField
        if kind == "JSONField" and isinstance(field, tags) and not kept.null:
            if (
                is_inherited(field, tags, "to_representation")
                and shows(AS_IT_IS, field.child)
                and kept.decoder is None
            ):
                name = f"show_{len(names)}"
                names[name] = lambda text: field.to_representation(loads(text))
                return f"([] if {value} == '[]' else {name}({value}))"  # as most are
        elif hasattr(kept, "from_db_value"):
            pass
        elif shows(AS_IT_IS, field, kept) and not getattr(field, "coerce_to_string", False):
            if kind != "BooleanField":
                return value
            if not kept.null:
                return f"({value} == 1)"
        elif shows(TIMES, field, kept) and not any(
            hasattr(field, name) for name in ("format", "timezone")
        ):
            return value if by_database(kept) else BY_PYTHON[kind].format(value)
        raise NotCompiledError(f"{field.field_name} is of no known type.")


def by_database(kept):
    """Return the template of SQL for what is shown of a model's field, None where it is read."""
    return BY_DATABASE.get(connection.vendor, {}).get(kept.get_internal_type())


def is_inherited(thing, known, *names):
    """Return whether `thing` does what is named as the class `known` does, where that does it."""
    return all(getattr(type(thing), name, None) is getattr(known, name, None) for name in names)


def shows(known, field, kept=None):
    """Return whether `field` writes what is `kept` as one of the `known` kinds does."""
    return any(
        isinstance(field, kind)
        and (kept is None or isinstance(kept, of))
        and is_inherited(field, kind, "to_representation")
        for kind, of in known.items()
    )


def kept_in(rows, column):
    """Return the model's field behind `column` of a queryset; NotCompiledError where it is none."""
    if column in rows.query.annotations:
        return rows.query.annotations[column].output_field
    model = rows.model
    *path, name = column.split("__")
    try:
        for step in path:
            field = model._meta.get_field(step)
            if field.null or field.related_model is None:
                raise NotCompiledError(f"There may be no {column}.")
            model = field.related_model
        return model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        raise NotCompiledError(f"{column} is no column.") from None


def reader_of(kept, column):
    """Return a function that gives what a row has in `column` of a model's object."""
    read, kind = attrgetter(column.replace("__", ".")), kept.get_internal_type()
    if kind == "JSONField":
        return lambda thing: "[]" if (value := read(thing)) == [] else json.dumps(value)
    if by_database(kept):
        code = BY_PYTHON[kind].format("read(thing)")
        return eval(f"lambda thing: {code}", {"read": read})  # noqa: S307 -- as in Writer
    return read


def around(field):
    """Return what stands before and after the key in the path that `field` links to."""
    for placeholder in ("987654321", "placeholder"):
        try:
            path = reverse(field.view_name, kwargs={field.lookup_url_kwarg: placeholder})
        except NoReverseMatch:
            continue
        before, after = path.split(placeholder)
        return before, after
    raise NotCompiledError(f"The path of {field.view_name} has no key.")


def in_path(key):
    """Return `key` as Django writes it into a path."""
    text = str(key)
    return (
        text if text.isascii() and text.isalnum() else quote(text, safe=f"{RFC3986_SUBDELIMS}/~:@")
    )


# --- From a request to its rows ----------------------------------------------------------------

# Who reads, for PetQuerySet.visible_to: whatever it does for one of a kind it does for all.
CALLERS = {
    "nobody": None,
    "person": SimpleNamespace(
        is_authenticated=True, is_staff=False, pk=Gap("caller", models.BigIntegerField())
    ),
    "staff": SimpleNamespace(is_authenticated=True, is_staff=True, pk=None),
}
FIELDS = {str: models.TextField, date: models.DateField, datetime: models.DateTimeField}
SUBJECT = ("pk", "version", "updated_at", "owner_id")


def kind_of(user):
    if user is None or not user.is_authenticated:
        return "nobody"
    return "staff" if user.is_staff else "person"


class List:
    """What a list within shows: of `rows`, a queryset, those whose ids are gathered."""

    def __init__(self, rows, serializer):
        self.rows, self.writer = rows, Writer(rows, serializer, ["pk"])
        self.place = self.writer.columns.index("pk")

    def read(self, ids, base, caller, sees_all):
        """Return what is shown of each of `ids` that the caller may see: `{id: dict}`."""
        if not ids:
            return {}
        # In as few lengths as it goes, each of which is a query: the last one is repeated.
        count = 1 << (len(ids) - 1).bit_length()
        query = kept(queries, (self, count), lambda: self.query(count))
        ids = [*ids, *repeat(next(iter(ids)), count - len(ids))]
        values = {f"id {n}": id_ for n, id_ in enumerate(ids)}
        rows = query.raw(caller=caller, **values)
        shown = self.writer.write(rows, base, caller, sees_all, {})
        return {row[self.place]: one for row, one in zip(rows, shown, strict=True)}

    def query(self, count):
        gaps = [Gap(f"id {n}", self.rows.model._meta.pk) for n in range(count)]
        rows = self.rows.order_by().filter(pk__in=gaps)
        return Prepared(rows.values_list(*self.writer.selected()))


class Subject(SimpleNamespace):
    """What permissions and conditions ask of an object, of which more was not read."""

    state = Versioned.state


class Plan:
    """How a view shows a list, or one of it, to a kind of caller under certain filters."""

    def __init__(self, view, kind, within, filters):
        rows = view.rows_for(CALLERS[kind])
        for name in within:
            rows = rows.filter(**{name: Gap(name, kept_in(rows, name))})
        if filters:
            filterset = FilterBackend().get_filterset_class(view)({}, rows)
            for name, how in filters:
                rows = filterset.filters[name].filter(rows, in_gaps(name, how))
        self.rows, self.ordering, self.is_narrowed = rows, ordering_of(rows), bool(filters)
        self.has_subject = view.has_subject
        names = [name.lstrip("-") for name in self.ordering]
        others = [*names, *(SUBJECT if self.has_subject else ())]
        # Without a context: what is kept here is of no request.
        serializer = view.get_serializer(context={})
        self.writer = Writer(rows, serializer, others, view.gathered)
        self.lists = {
            name: List(child.Meta.model.objects.visible_to(CALLERS[kind]), child)
            for name, child in self.writer.lists.items()
        }
        self.gathered = {
            name: [self.writer.columns.index(column) for column in view.gathered[name]]
            for name in self.lists
        }
        self.places = [self.writer.columns.index(name) for name in names]
        self.fields = [kept_in(rows, name) for name in names]
        self.probes = {
            condition: Prepared(condition.beyond_many())
            for condition in steering.conditions(rows, self.ordering)
        }
        if self.has_subject:
            self.of_subject = [self.writer.columns.index(name) for name in SUBJECT]

    def read(self, values, most, position=None, backwards=False):
        """Return at most so many rows, from the first on or beyond `position`."""
        goes_on, found = position is not None, []
        if goes_on:
            values = values | {f"position {n}": value for n, value in enumerate(position)}
        chosen = steering.choose(
            self.probes, lambda condition: self.probes[condition].raw(**values), values
        )
        for part in range(len(self.ordering) if goes_on else 1):
            key = self, most, goes_on, part, backwards, chosen
            query = kept(queries, key, lambda: self.query(*key[1:]))  # noqa: B023 -- called at once
            found += query.raw(**values)
            if len(found) >= most:
                break
        return found[:most]

    def query(self, most, goes_on, part, backwards, chosen):
        gaps = [Gap(f"position {n}", field) for n, field in enumerate(self.fields)]
        rows = beyond(self.rows, self.ordering, gaps if goes_on else None, backwards)[part]
        rows = rows.values_list(*self.writer.selected())
        return Prepared(steering.steer(rows, self.probes, chosen)[:most], self.is_narrowed)

    def batches(self, values, request, sizes):
        """Yield what is shown of all rows as lists of dicts of the lengths `sizes`."""
        position = None
        for size in sizes:
            rows = self.read(values, size, position)
            yield self.write(rows, request)
            if len(rows) < size:
                return
            position = self.position(rows[-1])

    def position(self, row):
        """Return where `row` stands: its values of what the list is ordered by."""
        return [row[place] for place in self.places]

    def subject(self, row):
        """Return the Subject that `row` is, None where the view has none."""
        if not self.has_subject:
            return None
        subject = Subject(_meta=self.rows.model._meta)
        subject.pk, subject.version, changed, subject.owner_id = [row[n] for n in self.of_subject]
        is_text = isinstance(changed, str)
        subject.updated_at = datetime.fromisoformat(changed) if is_text else changed
        return subject

    def write(self, rows, request):
        """Return what is shown of `rows`, as a list of dicts."""
        user = request.user
        reader = (
            f"{request.scheme}://{request.get_host()}",
            user and user.pk,
            kind_of(user) == "staff",
        )
        lists = {
            name: self.lists[name].read({row[n] for row in rows for n in places} - {None}, *reader)
            for name, places in self.gathered.items()
        }
        return self.writer.write(rows, *reader, lists)


def in_gaps(name, how):
    """Return for a filter what stands for its value, or the value where it is part of the plan."""
    kind, of = how
    if kind == "is":
        return of
    if kind == "each":
        return [Gap(f"{name} {n}", models.TextField()) for n in range(of)]
    if of not in FIELDS:
        raise NotCompiledError(f"{name} takes values of no known type.")
    return Gap(name, FIELDS[of]())


plans, queries = {}, {}


def kept(things, key, make):
    """Return what `make()` made for `key`: not for each time, and not more than MOST things."""
    try:
        return things[key]
    except KeyError:
        made = make()
    if len(things) >= MOST:
        with contextlib.suppress(RuntimeError, StopIteration):  # another thread is at it
            things.pop(next(iter(things)), None)
    things[key] = made
    return made


def plan_of(view, within, filters=()):
    """Return the Plan for the request of `view`, None where it cannot be compiled."""
    request = view.request
    if request.accepted_renderer.format == "api":  # a page for people has forms
        return None
    if not streams.is_wanted(request) and "format" in request.query_params:  # so have its links
        return None
    kind = kind_of(request.user)

    def make():
        try:
            return Plan(view, kind, within, filters)
        except NotCompiledError:
            return None

    what = type(view), view.get_serializer_class(), view.selection, tuple(within), filters
    return kept(plans, (kind, *what), make)


def page(view):
    """Return the answer with a page of the list of `view`, None where it cannot be compiled."""
    plan, values = list_of(view)
    if plan is None:
        return None
    paginator, request = view.paginator, view.request
    rows = paginator.turn_to(request, plan.ordering, partial(plan.read, values), plan.position)
    return paginator.get_paginated_response(plan.write(rows, request))


def stream(view):
    """Return the answer with all of the list of `view`, None where it cannot be compiled."""
    plan, values = list_of(view)
    return plan and streams.answer(view, partial(plan.batches, values, view.request))


def list_of(view):
    """Return the Plan for the list of `view` and the values of its gaps; no Plan where there is
    none, or a filter has a value that it does not take."""
    given = given_filters(view) if hasattr(view, "rows_for") else None
    if given is None:
        return None, {}
    filters, values = given
    return plan_of(view, view.within, filters), values | values_of(view.request, view.within)


def one(view):
    """Return `(data, subject)` of what the path of `view` names; None where it cannot be compiled.

    Http404 where there is nothing, in the words that Django has for it.
    """
    if not hasattr(view, "rows_for"):
        return None
    within = {view.lookup_field: view.kwargs[view.lookup_url_kwarg or view.lookup_field]}
    plan = plan_of(view, within)
    if plan is None:
        return None
    rows = plan.read(values_of(view.request, within), 1)
    if not rows:
        raise Http404(f"No {plan.rows.model._meta.object_name} matches the given query.")
    return plan.write(rows, view.request)[0], plan.subject(rows[0])


def shown(view, thing):
    """Return what `view` shows of `thing`, an object that was just written, without reading it;
    None where it cannot be compiled."""
    plan = plan_of(view, [view.lookup_field]) if hasattr(view, "rows_for") else None
    if plan is None or plan.lists:
        return None
    return plan.write([plan.writer.row_of(thing)], view.request)[0]


def values_of(request, within):
    return {"caller": request.user and request.user.pk, **within}
