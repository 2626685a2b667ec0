"""What the API writes, the way a person says it."""

from datetime import UTC, date, datetime

from django.utils.formats import date_format
from rest_framework import serializers

LABELS = {"is_public": "Public"}
NOUNS = {
    "pet": ("pet", "pets"),
    "user": ("profile", "profiles"),
    "breed": ("breed", "breeds"),
    "species": ("species", "species"),
}


def in_words(field, value):
    """Return `value`, as the API writes it, the way a person says it; "" for what is not known."""
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(field, serializers.ChoiceField):
        return str(field.choices.get(value, value))
    if isinstance(field, serializers.DateField):
        return day_in_words(value)
    if isinstance(field, serializers.DateTimeField):
        return instant_in_words(value)
    if isinstance(value, dict):
        return str(value.get("username") or value.get("name") or "")
    if isinstance(value, list | tuple):
        return ", ".join(in_words(None, item) for item in value)
    return str(value)


def day_in_words(value):
    return date_format(date.fromisoformat(value), "j F Y") if isinstance(value, str) else ""


def instant_in_words(value):
    if not isinstance(value, str):
        return ""
    instant = datetime.fromisoformat(value).astimezone(UTC)
    return f"{date_format(instant, 'j F Y')}, {instant:%H:%M} UTC"


def age_in_words(born, today=None):
    """Return how old somebody born on the ISO date `born` is, "" where that cannot be."""
    born, today = date.fromisoformat(born), today or datetime.now(UTC).date()
    months = (today.year - born.year) * 12 + today.month - born.month - (today.day < born.day)
    if months < 0:
        return ""
    number, unit = (months // 12, "year") if months >= 12 else (months, "month")
    return f"{number} {unit}{'' if number == 1 else 's'} old"


def label(name):
    return name.replace("_", " ").capitalize()


def noun(kind, number):
    """Return what `number` things of a kind are called."""
    one, many = NOUNS.get(kind, ("result", "results"))
    return one if number == 1 else many


def ordering_in_words(value):
    """Return what `ordering=value` means to a person."""
    name, down = value.lstrip("-"), value.startswith("-")
    if name == "id":
        return "Newest first" if down else "Oldest first"
    if name in {"name", "username"}:
        return f"{label(name)}, {'Z to A' if down else 'A to Z'}"
    words = {"created_at": "Registered", "updated_at": "Changed"}
    return f"{words.get(name, label(name))}, {'newest first' if down else 'oldest first'}"
