"""What a list can be narrowed and ordered by; anything else in the query is refused by name."""

from datetime import UTC

import django_filters
from django import forms
from django.contrib.auth import get_user_model
from django.db.models import F, Q, Subquery, Value
from django.db.models.functions import Lower
from django_filters.constants import EMPTY_VALUES
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS

from .models import Pet
from .pagination import ordering_of

MAX_NAMED = 20  # parameters that a problem names
ISO_DATE = ["%Y-%m-%d"]
RENDERING_PARAMETERS = {"format"}
# Parameters that are lists: with commas between, or given more than once as some clients do.
LISTS = {"expand", "fields", "ids"}
TRUTH = [("true", "true"), ("false", "false")]


def wrong_choice(choices):
    """What a field says of a value that is none of `choices`: which there are."""
    valid = ", ".join(value for value, _ in choices)
    return {"invalid_choice": f'"%(value)s" is not a valid choice. Valid are {valid}.'}


class AnyOfFilter(django_filters.MultipleChoiceFilter):
    """One of the choices, or several: any of them will do."""

    def __init__(self, choices):
        # A pet has one of each and is found once; to make sure of it, all would have to be sorted.
        super().__init__(choices=choices, distinct=False, error_messages=wrong_choice(choices))


class TotalOrderingFilter(django_filters.ChoiceFilter):
    """`ordering=name` or `-name`, completed by the primary key so that every order is total."""

    def __init__(self, fields, **kwargs):
        choices = [(name, name) for field in fields for name in (field, f"-{field}")]
        super().__init__(
            choices=choices,
            error_messages=wrong_choice(choices),
            empty_label=None,
            null_label=None,
            **kwargs,
        )

    def filter(self, queryset, value):
        if value in EMPTY_VALUES:
            return queryset
        sign = "-" if value.startswith("-") else ""
        return queryset.order_by(*dict.fromkeys([value, f"{sign}id"]))


class TextFilter(django_filters.CharFilter):
    """Text as it is: spaces are kept, a NUL byte is refused."""

    def __init__(self, **kwargs):
        super().__init__(max_length=200, strip=False, **kwargs)


class TagField(forms.CharField):
    """A tag as it is kept: in lower case, without spaces around it."""

    def clean(self, value):
        value = super().clean(value)
        # Spaces alone are no tag, and are found at none; nothing at all would be no filter.
        return value.strip().lower() or value


class TagFilter(TextFilter):
    field_class = TagField


class InstantField(forms.DateTimeField):
    """An ISO 8601 date and time, or a date for its first moment; UTC unless it says."""

    def to_python(self, value):
        try:
            instant = super().to_python(value)
            return instant and instant.astimezone(UTC)
        except OverflowError:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class InstantFilter(django_filters.Filter):
    field_class = InstantField


class PetFilter(FilterSet):
    """The filters of the pet list.  Those that take a choice may be given more than once: any of
    the values will do."""

    # First: how a tag is best looked up depends on the order of the list.
    ordering = TotalOrderingFilter(
        ["id", "name", "created_at", "updated_at"],
        help_text="What to order by, `-` for descending; newest first unless given.",
    )
    species = AnyOfFilter(Pet.Species.choices)
    breed = TextFilter(method="by_breed", help_text="The whole name, in any case.")
    status = AnyOfFilter(Pet.Status.choices)
    sex = AnyOfFilter(Pet.Sex.choices)
    size = AnyOfFilter(Pet.Size.choices)
    owner = TextFilter(method="by_owner", help_text="The owner's user name.")
    tag = TagFilter(method="by_tag", help_text="A tag the pet has.")
    postal_code = TextFilter(help_text="The whole code, as it was given.")
    born_before = django_filters.DateFilter(
        field_name="birth_date", lookup_expr="lt", input_formats=ISO_DATE, help_text="YYYY-MM-DD"
    )
    born_after = django_filters.DateFilter(
        field_name="birth_date", lookup_expr="gt", input_formats=ISO_DATE, help_text="YYYY-MM-DD"
    )
    updated_since = InstantFilter(
        input_formats=ISO_DATE,
        field_name="updated_at",
        lookup_expr="gte",
        help_text="ISO 8601, UTC unless it says.",
    )
    q = TextFilter(method="by_text", help_text="Part of the name or of the breed, in any case.")

    class Meta:
        model = Pet
        fields = []

    def by_breed(self, queryset, name, value):
        # Lower on both sides in SQL: the database's idea of lower case is the index's.
        return queryset.annotate(breed_lower=Lower("breed")).filter(breed_lower=Lower(Value(value)))

    def by_owner(self, queryset, name, value):
        # As one value, not a list: the index of owner and id then gives the page in its order.
        owner = get_user_model().objects.filter(username=value).values("id")[:1]
        return queryset.filter(owner=Subquery(owner))

    def by_tag(self, queryset, name, value):
        tagged = queryset.filter(tag_index__tag=value)
        by = ordering_of(queryset)[0]
        if by.lstrip("-") != "id":
            return tagged
        # In the order of the index of tags, which for one tag is that of the pets: a page is read
        # off it.
        return tagged.annotate(tagged=F("tag_index__pet_id")).order_by(by.replace("id", "tagged"))

    def by_text(self, queryset, name, value):
        return queryset.filter(Q(name__icontains=value) | Q(breed__icontains=value))


class FilterBackend(DjangoFilterBackend):
    """django-filter, with no silence: unknown parameters, empty values and repeated single
    values are problems that name the parameter."""

    def get_filterset_class(self, view, queryset=None):
        # One thing is found by its address: what narrows a list says nothing about it.
        return None if getattr(view, "detail", False) else super().get_filterset_class(view)

    def refuse_unknown(self, request, view):
        """Raise ValidationError for the parameters that `view` does not know.

        A form on a page sends every field, also those that were left empty: on pages such a
        parameter counts as left out.
        """
        is_page = request.accepted_renderer.format == "api"
        filters, known = {}, {*RENDERING_PARAMETERS, *getattr(view, "query_parameters", ())}
        # What narrows a list says nothing about a change: who removes `?species=dog` must not think
        # that it did.
        if request.method in SAFE_METHODS:
            filterset = self.get_filterset_class(view)
            filters = filterset.base_filters if filterset else {}
            known |= filters.keys()
            if not getattr(view, "detail", False):
                known |= {*getattr(getattr(view, "paginator", None), "page_query_params", ())}
        problems = {}
        for name, values in request.query_params.lists():
            if len(problems) == MAX_NAMED:
                break
            if is_page:
                values = [value for value in values if value]
            if name not in known:
                problems[name] = f"Unknown parameter; known are {', '.join(sorted(known))}."
            elif "" in values:
                problems[name] = "The value is empty."
            elif len(values) > 1 and not (
                name in LISTS or isinstance(filters.get(name), AnyOfFilter)
            ):
                problems[name] = "Give it once."
        if problems:
            raise ValidationError(problems, code="invalid_parameter")
        if is_page:
            leave_out_the_empty(request._request)


def leave_out_the_empty(request):
    """Drop parameters without a value from the query of `request`, as if they had not been sent."""
    query = request.GET.copy()
    for name, values in request.GET.lists():
        query.setlist(name, [value for value in values if value])
        if not query.getlist(name):
            del query[name]
    request.GET = query
    request.META["QUERY_STRING"] = query.urlencode()  # the links to other pages repeat it


def given_filters(view):
    """Return which filters the request of `view` gives and how, and their values by name.

    How is `("is", value)` for one of a few, `("each", count)` for a list, whose values are named
    "species 0", "species 1", …, and `("one", type)` for anything else.  None where a value is
    wrong: that is for the filterset to tell.
    """
    query, filterset = view.request.query_params, getattr(view, "filterset_class", None)
    if not query or filterset is None:
        return (), {}
    given, values = [], {}
    for name, filter_ in filterset.base_filters.items():
        if name not in query:
            continue
        field = filter_.field
        try:
            value = field.clean(field.widget.value_from_datadict(query, {}, name))
        except forms.ValidationError:
            return None
        if isinstance(value, list):
            value = list(dict.fromkeys(value))  # as often as anybody likes to repeat one
            given.append((name, ("each", len(value))))
            values |= {f"{name} {n}": each for n, each in enumerate(value)}
        elif isinstance(filter_, django_filters.ChoiceFilter):
            given.append((name, ("is", value)))
        else:
            given.append((name, ("one", type(value))))
            values[name] = value
    return tuple(given), values


class UserFilter(FilterSet):
    q = TextFilter(
        method="by_text", help_text="Part of the user name or display name, in any case."
    )
    is_organization = django_filters.ChoiceFilter(
        choices=TRUTH, error_messages=wrong_choice(TRUTH), empty_label=None, method="by_kind"
    )
    ordering = TotalOrderingFilter(["id", "username"], help_text="Oldest first unless given.")

    def by_text(self, queryset, name, value):
        return queryset.filter(Q(username__icontains=value) | Q(display_name__icontains=value))

    @extend_schema_field(OpenApiTypes.BOOL)
    def by_kind(self, queryset, name, value):
        # As one of a list: SQLite looks `is_organization = 1` up, and walks past `is_organization`.
        return queryset.filter(is_organization__in=[value == "true"])


class BreedFilter(FilterSet):
    species = AnyOfFilter(Pet.Species.choices)
    q = TextFilter(field_name="breed", lookup_expr="icontains", help_text="Part of the name.")
