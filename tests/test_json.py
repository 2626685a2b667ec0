"""JSON is written in the same bytes whoever writes it: DRF, orjson, or Python where that is not."""

import datetime
import re
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils.functional import lazystr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework import renderers as drf
from rest_framework.exceptions import ErrorDetail

from api import renderers
from api.models import Pet

# Floats are the exception that `dumps` names.
PLAIN = st.none() | st.booleans() | st.integers() | st.text()
FLOATS = st.floats(1e-4, 1e15, exclude_max=True) | st.floats(-1e15, -1e-4) | st.just(0.0)
TIMES = st.datetimes(timezones=st.none() | st.just(datetime.UTC)) | st.dates() | st.times()
OTHERS = st.uuids() | st.decimals(1, 1000, places=2) | st.timedeltas() | TIMES
VALUES = st.recursive(
    PLAIN | FLOATS | OTHERS,
    lambda some: st.lists(some) | st.tuples(some) | st.dictionaries(st.text(), some),
)


def all_ways(data):
    """Return what each writer makes of `data`: bytes, or the type of what it raises."""
    data = [data]  # by itself, DRF takes None for no answer
    ways = [lambda: drf.JSONRenderer().render(data), lambda: renderers.dumps(data)]
    told = [bytes_or_error(way) for way in ways]
    kept, renderers.orjson = renderers.orjson, None
    try:
        return [*told, bytes_or_error(ways[1])]
    finally:
        renderers.orjson = kept


def bytes_or_error(write):
    try:
        return write()
    except (TypeError, ValueError) as error:
        return type(error)


@settings(suppress_health_check=[HealthCheck.too_slow])  # there are many kinds of values
@given(VALUES)
def test_every_writer_has_the_same_bytes(data):
    by_drf, *others = all_ways(data)
    assert others == [by_drf, by_drf]


@pytest.mark.parametrize(
    "data",
    [
        "\u2028 and \u2029",
        '\x00\x1f\x7f\x80"\\/\b\f\n\r\t',
        "😀 é",
        "\ud800",  # half a surrogate
        {"\ud800": 1},
        2**63,
        2**64,
        -(2**63) - 1,
        {1: "one", None: 2, False: 3},
        {"a": {"b": ({"c": [1.5, Pet.Species.DOG]},)}},
        {Pet.Species.DOG: 1},
        [lazystr("lazy"), ErrorDetail("wrong", code="wrong")],
        datetime.datetime(2026, 1, 2, 3, 4, 5, 600, datetime.UTC),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.time(1, 2, tzinfo=datetime.UTC),
        [uuid.UUID(int=7), Decimal("1.50"), b"bytes", {"of one"}],
        object(),
    ],
)
def test_what_is_unusual_is_written_alike_too(data):
    by_drf, *others = all_ways(data)
    assert others == [by_drf, by_drf]


def test_what_is_nested_beyond_what_orjson_writes_is_written():
    data = []
    for _ in range(300):
        data = [data]
    by_drf, *others = all_ways(data)
    assert others == [by_drf, by_drf]


def test_no_answer_has_numbers_that_are_not_whole():
    """They are what the writers do not agree about."""
    schema = (Path(__file__).parent / "schema.yml").read_text()
    assert "integer" in schema
    assert not re.search(r"(type:|-) number\b", schema)
