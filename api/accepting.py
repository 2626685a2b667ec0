"""What is declared in serializers, compiled once for what is sent as it should be.

DRF asks each field in turn, and that each of its validators: for a pet it takes longer than the
database does.  Most of what is sent is right, and a few comparisons say so.  Whatever they do not
say it of goes DRF's way, which accepts it after all, or says what is wrong with it.  What comes out
is what DRF's fields make of it (tests/test_accepting.py).
"""

from datetime import date
from functools import cache
from math import inf
from typing import NamedTuple

from django.core.exceptions import ValidationError as DjangoValidationError
from django.core.validators import (
    MaxLengthValidator,
    MaxValueValidator,
    MinValueValidator,
    ProhibitNullCharactersValidator,
)
from rest_framework import ISO_8601, serializers
from rest_framework.fields import SkipField, empty
from rest_framework.settings import api_settings
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from .fields import Choice, Id, TagField, TagList, Text, Truth


class NotSureError(Exception):
    """It may be wrong: DRF knows."""


LEFT_TO_DRF = NotSureError, serializers.ValidationError, DjangoValidationError, SkipField


class Declared(NamedTuple):
    """A field that is written.

    `accept(value)` returns what it makes of a value, and raises NotSureError for one that may be
    wrong; None for a field of no known kind, which is asked itself.  `judge(serializer, value)` is
    the serializer's own `validate_<name>`, if it has one.
    """

    name: str
    source: str
    may_be_null: bool
    has_to_be_there: bool
    accept: object
    judge: object


def accepted(serializer, data):
    """Return what DRF's `to_internal_value(data)` does; None where that cannot be told at once.

    The fields of `serializer` are to be those of its class.
    """
    names, declared = declarations(type(serializer))
    if names is None or type(data) is not dict or not data.keys() <= names:
        return None
    values = {}
    try:
        for name, source, may_be_null, has_to_be_there, accept, judge in declared:
            if name in data:
                value = data[name]
                if accept is None:
                    field = serializer.fields[name]
                    value = field.run_validation(field.get_value(data))
                elif value is not None or not may_be_null:
                    value = accept(value)
                values[source] = judge(serializer, value) if judge else value
            elif has_to_be_there and not getattr(serializer.root, "partial", False):
                return None
    except LEFT_TO_DRF:
        return None
    return values


@cache
def declarations(serializer_class):
    """Return the names of all fields of `serializer_class`, and those that are written, Declared.

    None for the names where a field is kept within something, or looks for its value itself.
    """
    fields = serializer_class().fields
    written = [(name, field) for name, field in fields.items() if not field.read_only]
    if not all(len(field.source_attrs) == 1 and is_looked_up(field) for _, field in written):
        return None, []
    return fields.fields.keys(), [
        Declared(
            name,
            *field.source_attrs,
            field.allow_null,
            field.required or field.default is not empty,
            acceptor(field),
            getattr(serializer_class, f"validate_{name}", None),
        )
        for name, field in written
    ]


def is_looked_up(field):
    """Return whether `field` finds its value as DRF's own do: by its name, or nowhere."""
    return type(field).get_value.__module__.startswith("rest_framework.")


def acceptor(field):
    """Return `accept` of what is Declared by `field`."""
    if type(field) not in KNOWN:
        return None
    known, make = KNOWN[type(field)]
    kinds = [type(validator) for validator in field.validators]
    if len(kinds) > len({*kinds}) or not known.issuperset(kinds):
        return None
    limits = {kind: getattr(validator, "limit_value", None)
              for kind, validator in zip(kinds, field.validators, strict=True)}  # fmt: skip
    return make(field, limits)


def text(field, limits, change=None):
    most, may_be_blank, is_trimmed = (
        limits.get(MaxLengthValidator, inf), field.allow_blank, field.trim_whitespace
    )  # fmt: skip

    def accept(value):
        if type(value) is not str:
            raise NotSureError
        if is_trimmed:
            value = value.strip()
        if change:
            value = change(value)
        if len(value) > most or "\0" in value or not (value or may_be_blank):
            raise NotSureError
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise NotSureError from None
        return value

    return accept


def tag(field, limits):
    return text(field, limits, str.lower)


def choice(field, limits):
    values = field.choice_strings_to_values

    def accept(value):
        if type(value) is not str or value not in values:
            raise NotSureError
        return values[value]

    return accept


def truth(field, limits):
    def accept(value):
        if type(value) is not bool:
            raise NotSureError
        return value

    return accept


def number(field, limits):
    least, most = limits.get(MinValueValidator, -inf), limits.get(MaxValueValidator, inf)

    def accept(value):
        if type(value) is not int or not least <= value <= most:
            raise NotSureError
        return value

    return accept


def day(field, limits):
    if getattr(field, "input_formats", api_settings.DATE_INPUT_FORMATS) != [ISO_8601]:
        return None

    def accept(value):
        try:
            return date.fromisoformat(value)  # which DRF tries first, too
        except (TypeError, ValueError):
            raise NotSureError from None

    return accept


def several(field, limits):
    accept_one, most = acceptor(field.child), limits.get(MaxLengthValidator, inf)
    if accept_one is None:
        return None

    def accept(values):
        if type(values) is not list or len(values) > most or not (values or field.allow_empty):
            raise NotSureError
        return [accept_one(value) for value in values]

    return accept


OF_TEXT = {
    *(MaxLengthValidator, ProhibitNullCharactersValidator, ProhibitSurrogateCharactersValidator)
}
# By the kind of field, which has to be this very one: what it makes of a value is known here again.
# With the validators that it may have.
KNOWN = {
    Text: (OF_TEXT, text),
    TagField: (OF_TEXT, tag),
    Choice: (set(), choice),
    Truth: (set(), truth),
    Id: ({MinValueValidator, MaxValueValidator}, number),
    serializers.DateField: (set(), day),
    TagList: ({MaxLengthValidator}, several),
}
