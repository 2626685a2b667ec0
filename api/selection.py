"""What of a thing an answer shows: `fields=` leaves out, `expand=` shows in full."""

import copy
from dataclasses import dataclass
from functools import cache

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.fields import Field
from rest_framework.permissions import SAFE_METHODS

MAX_NAMED = 20  # unknown names that a problem tells,
LONGEST_NAMED = 40  # and the letters of each


@dataclass(frozen=True)
class Expansion:
    """How `expand=` shows a field: written by `field`, to who may read the objects of `scope`.

    In full is as at that object's own address; nothing is expanded within.  The help text of
    `field` is told in the schema.
    """

    scope: str
    field: Field


@dataclass(frozen=True)
class Selection:
    """What a caller asked to see: all the fields where `fields` is None, and none in full unless
    `expand` says so."""

    fields: frozenset | None = None
    expand: frozenset = frozenset()

    def shows(self, name):
        return self.fields is None or name in self.fields


class Selective:
    """Mixin before Manners, for views whose GET answers what their serializer writes.

    `selection` is what the caller asked to see.  `expandable` says what can be seen in full:
    `{field: Expansion}`; the view's `prepare` attaches what that shows, for all rows at once.
    """

    # An action that answers something else says False: there the parameters are unknown.
    is_selective = True
    expandable = {}
    selection = Selection()

    @property
    def query_parameters(self):
        if not self.is_selective or self.request.method not in SAFE_METHODS:
            return []
        return ["expand", "fields"] if self.expandable else ["fields"]

    @property
    def expanded_objects(self):
        """The objects whose scope this request needs for what it expands."""
        if not self.request.query_params or "expand" not in self.query_parameters:
            return []
        wanted = names_in(self.request, "expand")
        return sorted({self.expandable[name].scope for name in wanted if name in self.expandable})

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if request.query_params and self.query_parameters:
            self.selection = self.selected(request)

    def selected(self, request):
        """Return the Selection of `request`; raise ValidationError for a name that is not there."""
        fields, expand = names_in(request, "fields"), names_in(request, "expand")
        problems = {}
        if fields and (problem := unknown(fields, names_of(self.serializer_class))):
            problems["fields"] = problem
        if problem := unknown(expand, self.expandable):
            problems["expand"] = problem
        elif left_out := [name for name in expand if fields and name not in fields]:
            problems["expand"] = f"`fields` leaves out {quoted(left_out)}; name it there as well."
        if problems:
            raise ValidationError(problems, code="invalid_parameter")
        return Selection(frozenset(fields) if fields else None, frozenset(expand))

    def get_serializer(self, *args, **kwargs):
        serializer = super().get_serializer(*args, **kwargs)
        # A page asks for the serializers of its forms too, which are for other methods.
        if self.request.method in {"GET", "HEAD"}:
            fields = getattr(serializer, "child", serializer).fields
            for name in list(fields):
                if not self.selection.shows(name):
                    del fields[name]
                elif name in self.selection.expand:
                    fields[name] = copy.deepcopy(self.expandable[name].field)
        return serializer


def names_in(request, parameter):
    """Return the names that `parameter` of the query lists, each once.

    However often it was given: what is checked here and what is shown must not differ.
    """
    values = filter(None, request.query_params.getlist(parameter))
    return list(dict.fromkeys(name for value in values for name in value.split(",")))


@cache
def names_of(serializer_class):
    """Return the names of what `serializer_class` shows, in its order."""
    return [name for name, field in serializer_class().fields.items() if not field.write_only]


def unknown(names, known):
    """Return what to say of those of `names` that are not `known`, "" if all are."""
    wrong = [name for name in names if name not in known]
    if not wrong:
        return ""
    word = "name" if len(wrong) == 1 else "names"
    return f"Unknown {word} {quoted(wrong)}; known are {', '.join(known)}."


def quoted(names):
    return ", ".join(f'"{name[:LONGEST_NAMED]}"' for name in names[:MAX_NAMED])


def parameters(view):
    """Return the OpenAPI parameters by which the answers of `view` to a GET are selected."""
    if not getattr(view, "is_selective", False):
        return []
    found = [
        listing(
            "fields",
            names_of(view.serializer_class),
            "Show these fields and no others, in their usual order; all unless given.",
        )
    ]
    if view.expandable:
        notes = [
            f"`{name}` needs the scope `{expansion.scope}:read` too. {expansion.field.help_text}"
            for name, expansion in view.expandable.items()
        ]
        told = " ".join(["Show these in full, as at their own addresses.", *notes])
        found.append(listing("expand", list(view.expandable), told))
    return found


def listing(name, names, description):
    """An array of `names` in one parameter, with commas between them."""
    schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
    return OpenApiParameter(name, schema, description=description, style="form", explode=False)
