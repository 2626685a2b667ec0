"""What narrows a list, orders it and leads through it; every address repeats the rest."""

from urllib.parse import urlencode

from django.utils.encoding import escape_uri_path

from ..pagination import DEFAULT_PAGE_SIZE
from ..renderers import STREAMS, shows_a_list
from .things import url_name
from .words import label, ordering_in_words

# Parameters that do not narrow a list.
RENDERING = {"cursor", "expand", "fields", "format", "ordering", "page_size"}
PAGE_SIZES = [25, 50, 100]
MOST_SHOWN = 20  # filters that are shown, each with an address that repeats all the others


def active_filters(request, form):
    """Return `[(label, text, url without it)]` for each value that narrows the list."""
    kept = parameters(request, but={"cursor", "format"})
    found = []
    for number, (name, value) in enumerate(kept):
        if name in RENDERING or len(found) == MOST_SHOWN:
            continue
        field = form.fields.get(name) if form else None
        words = dict(getattr(field, "choices", None) or ())
        without = kept[:number] + kept[number + 1 :]
        title = "Search" if name == "q" else label(name)
        found.append((title, words.get(value, value), address(request, without)))
    return found


def parameters(request, but=()):
    """Return the query as pairs, without those named."""
    pairs = [(name, value) for name, values in request.query_params.lists() for value in values]
    return [(name, value) for name, value in pairs if name not in but]


def address(request, pairs):
    path = escape_uri_path(request.path)
    return f"{path}?{urlencode(pairs)}" if pairs else path


def with_parameter(request, name, value):
    """Return the address of this list from its beginning with `name` set; "" drops it."""
    others = parameters(request, but={name, "cursor", "format"})
    return address(request, [*others, (name, value)] if value != "" else others)


def narrowing(request):
    """Return what narrows the list as a query that other lists of the same things take too."""
    return urlencode(parameters(request, but=RENDERING))


def filter_form(view, request):
    """Return the form of what narrows this list, None for anything else."""
    if not getattr(view, "filterset_class", None) or getattr(view, "detail", None):
        return None
    form = view.filterset_class(request.query_params, queryset=view.queryset).form
    for name, field in form.fields.items():
        field.label = "Search" if name == "q" else label(name)
    return form


def controls(view, request, form):
    """Return what a list can be changed by besides its filters: order, page size, whose."""
    query = getattr(getattr(view, "queryset", None), "query", None)
    as_it_comes = query.order_by[0] if query and query.order_by else ""
    ordering = form.fields.get("ordering") if form else None
    values = [value for value, _ in ordering.choices if value] if ordering else []
    size = request.query_params.get("page_size", str(DEFAULT_PAGE_SIZE))
    return {
        "as_it_comes": ordering_in_words(as_it_comes),
        "ordering": [(v, ordering_in_words(v)) for v in values if v != as_it_comes],
        "ordered_by": request.query_params.get("ordering", ""),
        "has_more": form is not None and bool(set(form.fields) - {"q", "ordering"}),
        "sizes": [
            (number, with_parameter(request, "page_size", number), str(number) == size)
            for number in PAGE_SIZES
        ],
        "first": with_parameter(request, "cursor", ""),
        "mine": mine(request),
        "exports": exports(view, request),
    }


def exports(view, request):
    """Return `[(format, address)]` of all that this list has, not of a page of it."""
    if not shows_a_list(view, request.method):
        return []
    # What is expanded is no cell of a table.
    kept = parameters(request, but={"cursor", "expand", "format", "page_size"})
    return [
        (name.upper(), address(request, [*kept, ("format", name)]))
        for name in dict.fromkeys(stream.format for stream in STREAMS)
    ]


def mine(request):
    """Return the address of one's own pets of this list, "" where that is said already."""
    user = request.user
    if url_name(request) != "pet-list" or not (user and user.is_authenticated):
        return ""
    if request.query_params.getlist("owner") == [user.get_username()]:
        return ""
    return with_parameter(request, "owner", user.get_username())
