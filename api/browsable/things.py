"""What a page shows of one thing and of a list: facts, cards, tables and numbers, with links."""

from urllib.parse import urlencode, urlsplit

from django.template.loader import select_template
from django.urls import resolve, reverse

from accounts.snippets import KEY, curl

from ..models import Pet
from ..permissions import IsPublic
from .words import LABELS, age_in_words, in_words, instant_in_words, label, noun

# Fields that a person looks for together; what is named nowhere comes last.
GROUPS = {
    "PetSerializer": [
        ("Who it is", ["name", "species", "breed", "secondary_breed", "mixed_breed"]),
        ("What it is like", ["sex", "birth_date", "size", "color", "tags", "description"]),
        ("Where it is", ["status", "postal_code", "is_public"]),
        ("Registration", ["licence_number", "licence_issued_on", "microchip"]),
    ],
}
# What a page shows in a place of its own.
SHOWN_ELSEWHERE = {"id", "url", "name", "description", "tags", "created_at", "updated_at"}
# A table shows this many columns; the JSON has them all.
COLUMNS = 8
# What a table shows of a thing, where not all of it in its own order.
TABLES = {
    "PetSerializer": [
        *("name", "species", "breed", "status", "sex", "birth_date", "postal_code", "owner"),
    ],
}
STATUS_BADGES = {"adoptable": "good", "found": "good", "lost": "bad", "pending": "warn"}
PET_WORDS = {"species": dict(Pet.Species.choices), "status": dict(Pet.Status.choices)}
COLLECTIONS = {
    "pets": "The pets everybody may see, and your own: find, register, change and remove them.",
    "users": "Public profiles of people and organisations, each with its newest pets.",
    "me": "Who is calling, with which credential, its scopes and its expiry; your own profile.",
    "species": "The words for a species that a pet can be of. No credential is needed.",
    "breeds": "The breeds of public pets by species, with how many there are of each.",
    "schema": "All of it as OpenAPI 3.1, for your tools. No credential is needed.",
}


def url_name(request):
    match = request.resolver_match
    return match.url_name if match else ""


def kind_of(view):
    """Return the name of the thing `view` shows: pet for PetSerializer, "" for none."""
    cls = getattr(view, "serializer_class", None)
    return cls.__name__.removesuffix("Serializer").lower() if cls else ""


def view_serializer(view):
    cls = getattr(view, "serializer_class", None)
    return cls.__name__ if cls else ""


def fields_of(view):
    """Return the fields of what `view` shows, by name; none where it has no serializer."""
    if not hasattr(view, "get_serializer"):
        return {}
    serializer = view.get_serializer()
    return getattr(serializer, "child", serializer).fields


def is_whole(view):
    """Return whether all of a thing is shown: `fields=` may leave out what its card is made of."""
    selection = getattr(view, "selection", None)
    return selection is None or selection.fields is None


def is_nested(value):
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(item, dict | list) for item in value)
    )


def grouped(fields, name):
    """Return `[(title, [field])]`: `fields` (by name) in the groups of the serializer `name`."""
    groups = GROUPS.get(name, [])
    named = {field for _, fields_of_group in groups for field in fields_of_group}
    found = [(title, [fields[f] for f in names if f in fields]) for title, names in groups]
    rest = [field for field_name, field in fields.items() if field_name not in named]
    found.append(("Also" if groups else "", rest))
    return [(title, members) for title, members in found if members]


def facts(data, view):
    """Return `{groups: [(title, [(label, text)])], unknown: [label]}` of one thing."""
    fields = fields_of(view)
    # What was picked is all there is on the page.
    picked = () if is_whole(view) else data
    known = {
        name: (LABELS.get(name) or (fields[name].label if name in fields else label(name)), value)
        for name, value in data.items()
        if name in picked
        or (name not in SHOWN_ELSEWHERE and not name.endswith("_url") and not is_nested(value))
    }
    groups, unknown = [], []
    names = {name: name for name in known}
    for title, members in grouped(names, view_serializer(view)):
        lines = []
        for name in members:
            title_of_fact, value = known[name]
            text = in_words(fields.get(name), value)
            if name == "birth_date" and text and data.get("status") != "deceased":
                text = ", ".join(filter(None, [text, age_in_words(value)]))
            if text:
                lines.append((title_of_fact, text))
            else:
                unknown.append(title_of_fact.lower())
        if lines:
            groups.append((title, lines))
    return {"groups": groups, "unknown": unknown}


def cards(results, kind):
    """Return what cards of pets or people show, or None for other kinds of lists."""
    if kind == "pet":
        return [
            pet
            | {name: words.get(pet.get(name), "") for name, words in PET_WORDS.items()}
            | {"sign": sign(pet.get("species")), "badge": STATUS_BADGES.get(pet.get("status"), "")}
            for pet in results
        ]
    if kind == "species":
        address = reverse("pet-list")
        return [
            s | {"sign": sign(s["code"]), "url": f"{address}?species={s['code']}"} for s in results
        ]
    if kind == "user":
        return [user | {"since": instant_in_words(user["date_joined"])} for user in results]
    return None


def sign(species):
    """Return the name of a species' picture; of one that has none, the paw's."""
    return species if species in PET_WORDS["species"] else "other"


def table(results, view):
    """Return `{columns, rows}` of a list; a row is a list of `(text, link)`.

    At most COLUMNS, and only of what a cell can hold and some row has; all that was picked.
    """
    fields = fields_of(view)
    if not is_whole(view):
        names = [name for name in fields if any(name in row for row in results)]
        return rows_of(results, names, fields)
    names = TABLES.get(view_serializer(view)) or [
        name
        for name, value in results[0].items()
        if not isinstance(value, bool | list | dict)
        and name not in {"id", "url"}
        and not name.endswith("_url")
    ]
    names = [name for name in names if any(row.get(name) not in (None, "") for row in results)]
    return rows_of(results, names[:COLUMNS], fields)


def rows_of(results, names, fields):
    rows = [
        [
            # A code is told as it is sent.
            (in_words(fields.get(name) if name != "code" else None, row.get(name)), link(name, row))
            for name in names
        ]
        for row in results
    ]
    return {"columns": [label(name) for name in names], "rows": rows}


def link(name, row):
    """Return where a cell leads, or None."""
    if name == "owner":
        return reverse("user-detail", kwargs={"username": row["owner"]["username"]})
    if name in {"name", "username"} and row.get("url"):
        return row["url"]
    if name == "name" and {"pet_count", "species"} <= row.keys():
        query = {"species": row["species"], "breed": row["name"]}
        return f"{reverse('pet-list')}?{urlencode(query)}"
    if name == "name" and row.keys() == {"code", "name"}:
        return f"{reverse('pet-list')}?{urlencode({'species': row['code']})}"
    return None


def counts(data, request):
    """Return the numbers of a page of counts as `[(title, [(word, sign, count, percent, link)])]`.

    A link leads to the list with the same filters and this one.
    """
    total = data.get("total") or 1
    groups = []
    for name, numbers in data.items():
        if not isinstance(numbers, dict):
            continue
        parameter = name.removeprefix("by_")
        others = [
            (n, v)
            for n, values in request.query_params.lists()
            for v in values
            if n not in {parameter, "format"}
        ]
        rows = [
            (
                PET_WORDS.get(parameter, {}).get(code, code),
                sign(code) if parameter == "species" else "",
                count,
                round(100 * count / total, 1),
                f"{reverse('pet-list')}?{urlencode([*others, (parameter, code)])}",
            )
            for code, count in sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
        ]
        groups.append((label(name), rows))
    return groups


def collections(data):
    """Return what the root leads to: `[(name, url, sentence, call)]`; `call` may be empty."""
    return [(label(name), url, *about(name, url)) for name, url in data.items()]


def about(name, url):
    """Return a sentence about the view at `url`, and a call of it."""
    match = resolve(urlsplit(url).path)
    cls = match.func.cls
    sentence = COLLECTIONS.get(name) or (cls.__doc__ or "").strip().partition("\n")[0]
    reads = "get" in getattr(match.func, "actions", ()) or hasattr(cls, "get")
    is_public = IsPublic in cls.permission_classes
    return sentence, curl("GET", url, key=None if is_public else KEY) if reads else ""


def is_list(data):
    return isinstance(data, dict) and isinstance(data.get("results"), list)


def page(data, view, request):
    """Return what the page of an answer shows, and its template: `page` by the name of the
    address, of the thing, or one for anything."""
    kind, name = kind_of(view), url_name(request)
    if is_list(data):
        results = data["results"]
        return {
            "page": "rest_framework/pages/list.html",
            "results": results,
            "noun": noun(kind, len(results)),
            "cards": cards(results, kind) if is_whole(view) else None,
            "table": table(results, view) if results else None,
            "is_own": name == "user-pets"
            and request.user is not None
            and view.kwargs.get("username") == request.user.get_username(),
        }
    kind = kind if is_whole(view) else "thing"
    template = select_template(
        f"rest_framework/pages/{found}.html" for found in (name, kind, "thing") if found
    )
    shown = {"page": template, "data": data}
    if name == "root":
        return shown | {"collections": collections(data)}
    if name == "pet-stats":
        return shown | {"counts": counts(data, request)}
    if name == "me":
        return shown
    if kind in {"pet", "user"}:
        (card,) = cards([data], kind)
        shown |= {"card": card, "cards": cards(data.get("pets") or [], "pet")}
        shown["instants"] = {
            stamp: instant_in_words(data[stamp])
            for stamp in ("created_at", "updated_at")
            if stamp in data
        }
    return shown | {"facts": facts(data, view)}


def heading(data, view):
    """What the page of an answer is about, in a word or two."""
    data = data if isinstance(data, dict) else {}
    thing = data["user"] if isinstance(data.get("user"), dict) else data
    is_one = thing is not data or getattr(view, "detail", None)
    named = ("display_name", "name", "username") if is_one else ()
    if found := next(filter(None, (thing.get(name) for name in named)), ""):
        return found
    if is_one and {"name", "species"} <= thing.keys():
        return f"{PET_WORDS['species'].get(thing['species'], 'Pet')} without a name"
    if url_name(view.request) == "root":
        return "The API"
    if "username" in view.kwargs and not is_one:
        return f"Pets of {view.kwargs['username']}"
    if getattr(view, "suffix", None) == "List":
        return f"{view.basename}s".capitalize()
    return view.get_view_name()
