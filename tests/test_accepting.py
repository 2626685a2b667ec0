"""What is accepted at once is what DRF's fields would have accepted, value by value and type by
type; and whatever is wrong is DRF's to tell."""

import json
from datetime import date
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from api import accepting
from api.accepting import accepted
from api.fields import Choice, Id, TagField, TagList, Text, Truth
from api.models import Pet
from api.serializers import (
    PET,
    CredentialReportSerializer,
    PetChangeSerializer,
    PetSerializer,
    Strict,
)

LETTERS = ["a", "Z", " ", "\t", "\n", "\x1f", "\x85", "\u00a0", "\u2028", "\0", "\ud800", "\udfff",
           "é", "\u0301", "ß", "İ", "ǆ", "Σ", "猫", "😺", "0", "9", "١", "-", ":", "T", "W", ",",
           "<", "'", '"', "\\", "%"]  # fmt: skip
TEXTS = st.text(st.sampled_from(LETTERS), max_size=45) | st.sampled_from(
    ["x" * 100, "x" * 101, f" {'x' * 100} ", "İ" * 40, "İ" * 20, "985112345678903", "9851123456",
     "2021-05-04", "2021-5-4", "20210504", "2021-W18-2", "2021W182", "2021-02-30", "9999-12-31",
     "0000-01-01", "2021-05-04T00:00", "2021-05-04 ", "true", "null", "[]"]
)  # fmt: skip
WORDS = st.sampled_from([word for kind in (Pet.Species, Pet.Sex, Pet.Size, Pet.Status)
                         for word in kind.values])  # fmt: skip
PLAIN = (
    st.none() | st.booleans() | st.integers(-2, 2**64) | st.floats(allow_nan=False) | TEXTS | WORDS
)
VALUES = PLAIN | st.lists(PLAIN, max_size=22) | st.dictionaries(TEXTS, PLAIN, max_size=2)
CLASSES = [PetSerializer, PetChangeSerializer, CredentialReportSerializer]
examples = settings(deadline=None, derandomize=True, max_examples=1500)


def outcome(cls, data, partial, at_once):
    """Return what `cls` makes of `data`: the values in their order, or the errors."""
    serializer = cls(data=data, partial=partial, context={})
    with patch("api.serializers.accepted", accepted if at_once else lambda *of: None):
        if serializer.is_valid():
            values = serializer.validated_data
            return [(name, type(value), value) for name, value in values.items()]
        return serializer.errors


def sent(cls):
    """What may be sent to `cls`: nothing but its fields, mostly good, or anything."""
    names = list(cls().fields)
    good = st.fixed_dictionaries({}, optional={name: st.just(PET[name]) for name in PET})
    anything = st.dictionaries(st.sampled_from([*names, "unknown"]), VALUES, max_size=6)
    return st.tuples(good, anything).map(lambda two: two[0] | two[1]) | anything


@pytest.mark.parametrize("cls", CLASSES)
@examples
@given(st.data())
def test_what_is_accepted_at_once_is_what_drf_accepts(cls, data):
    given_, partial = data.draw(sent(cls)), data.draw(st.booleans())
    at_once = accepted(cls(data=given_, partial=partial, context={}), given_)
    in_the_end = outcome(cls, given_, partial, at_once=False)
    if at_once is not None:
        assert [(name, type(value), value) for name, value in at_once.items()] == in_the_end
    assert outcome(cls, given_, partial, at_once=True) == in_the_end


@examples
@given(st.sampled_from([name for name in PET if name != "species"]), VALUES)
def test_each_field_alone(name, value):
    data = {"species": "dog", name: value}
    at_once = accepted(PetSerializer(data=data, context={}), data)
    in_the_end = outcome(PetSerializer, data, False, at_once=False)
    if at_once is not None:
        assert [(name, type(value), value) for name, value in at_once.items()] == in_the_end


@pytest.mark.parametrize(
    "data",
    [
        PET,
        {"species": "dog"},
        {"species": "cat", "name": "  Zoë  ", "tags": [" Shy ", "SHY", "猫"]},
        {"species": "dog", "size": None, "birth_date": None, "licence_issued_on": None},
        # What was read can be sent back: what nobody may write is passed over.
        PET | {"id": 1, "url": "x", "owner": {"id": 9}, "created_at": 0, "updated_at": []},
    ],
)
def test_what_is_usual_is_accepted_at_once(data):
    values = accepted(PetSerializer(data=data, context={}), data)
    assert values is not None
    assert values.keys() == data.keys() - {"id", "url", "owner", "created_at", "updated_at"}
    assert accepted(PetChangeSerializer(data=data, context={}), {"id": 7, "name": "Rex"})


def test_it_asks_no_field_of_drf():
    data = PET | {"tags": ["a"]}
    serializer = PetSerializer(data=data, context={})
    assert serializer.is_valid()
    assert "fields" not in vars(serializer)
    assert serializer.validated_data["birth_date"] == date(2021, 5, 4)


@pytest.mark.parametrize(
    "data", [None, [], "text", 5, {}, {"name": "Rex"}, {"species": "dog", "nmae": "Rex"}]
)
def test_what_is_not_all_there_or_too_much_is_not(data):
    assert accepted(PetSerializer(data=data, context={}), data) is None


def test_a_part_may_be_sent_where_the_rest_is_kept():
    data = {"name": "Rex"}
    assert accepted(PetSerializer(data=data, partial=True, context={}), data) == data
    assert accepted(PetSerializer(data={}, partial=True, context={}), {}) == {}


class Shout(Text):
    """A field of another kind: what it makes of a value is its own business."""

    def to_internal_value(self, data):
        return f"{super().to_internal_value(data)}!"


def starts_with_r(value):
    if not value.startswith("R"):
        raise serializers.ValidationError("It does not.")


class Odd(Strict):
    loud = Shout(required=False)
    strict = Text(required=False, validators=[starts_with_r])
    early = serializers.DateField(required=False, input_formats=["%d.%m.%Y"])
    word = Choice(["a", 1, ("b", "Bee")], required=False)
    tags = TagList(child=TagField(max_length=3), max_length=2, required=False, allow_empty=False)
    mail = serializers.EmailField(required=False)
    spaced = Text(required=False, trim_whitespace=False, allow_blank=True, max_length=3)
    row = Id(required=False)
    yes = Truth(required=False, allow_null=True)
    later = Text(default="later")

    def validate_word(self, word):
        if word == "b":
            raise serializers.ValidationError("Not today.")
        return [word]


@examples
@given(st.dictionaries(st.sampled_from(list(Odd().fields)),
       VALUES | st.sampled_from(["Rex", "a", "1", "b", "4.5.2021", "a@example.org"])),
       st.booleans())  # fmt: skip
def test_what_is_declared_otherwise_is_done_otherwise(data, partial):
    at_once = accepted(Odd(data=data, partial=partial, context={}), data)
    in_the_end = outcome(Odd, data, partial, at_once=False)
    if at_once is not None:
        assert [(name, type(value), value) for name, value in at_once.items()] == in_the_end
    assert outcome(Odd, data, partial, at_once=True) == in_the_end


def test_a_field_of_no_known_kind_is_asked_itself():
    data = {"loud": "Rex", "strict": "Rex", "early": "04.05.2021", "word": "1", "later": ""}
    del data["later"]
    values = accepted(Odd(data=data, partial=True, context={}), data)
    assert values == {"loud": "Rex!", "strict": "Rex", "early": date(2021, 5, 4), "word": [1]}


def test_a_default_is_drfs_to_fill_in():
    assert accepted(Odd(data={}, context={}), {}) is None
    assert outcome(Odd, {}, False, at_once=True) == [("later", str, "later")]


class Names(serializers.Serializer):
    kept = serializers.ListField(child=Odd())


def test_one_of_many_in_a_field_is_judged_alike():
    assert not Names(data={"kept": [{"word": "b"}]}).is_valid()
    of_many = Names(data={"kept": [{"word": "a"}]})
    assert of_many.is_valid()
    assert of_many.validated_data == {"kept": [{"word": ["a"], "later": "later"}]}


class Nested(Strict):
    name = Text(source="owner.name")


class Whole(Strict):
    name = Text(source="*")


@pytest.mark.parametrize("cls", [Nested, Whole])
def test_what_is_required_there_is_missed(cls):
    assert accepted(cls(data={}, context={}), {}) is None
    assert not cls(data={}, context={}).is_valid()


def test_what_is_kept_within_is_not_accepted_at_once():
    assert accepted(Nested(data={"name": "x"}, context={}), {"name": "x"}) is None
    assert outcome(Nested, {"name": "x"}, False, at_once=True) == [("owner", dict, {"name": "x"})]


def test_a_field_that_was_taken_from_one_serializer_is_not_known_to_it():
    data = {"species": "dog", "name": "Rex"}
    serializer = PetSerializer(data=data, context={})
    del serializer.fields["name"]
    assert not serializer.is_valid()
    assert serializer.errors == {"name": [ErrorDetail("Unknown field.", code="unknown_field")]}
    assert PetSerializer(data=data, context={}).is_valid()


class Stamped(Strict):
    name = Text()
    by = serializers.HiddenField(default="us")


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("data", [{"name": "x"}, {"name": "x", "by": "them"}])
def test_what_is_not_read_from_the_body_is_not_taken_from_it(data, partial):
    stamped = Stamped(data=data, partial=partial, context={})
    assert stamped.is_valid()
    assert stamped.validated_data == {"name": "x"} | ({} if partial else {"by": "us"})


class Elsewhere(Text):
    def get_value(self, dictionary):
        return dictionary.get("name")


class Copied(Strict):
    name = Text()
    again = Elsewhere(required=False)


def test_a_field_that_looks_elsewhere_for_its_value_finds_it():
    assert outcome(Copied, {"name": "x"}, False, at_once=True) == [
        ("name", str, "x"),
        ("again", str, "x"),
    ]


@pytest.mark.parametrize("change", [{"read_only": True}, {"required": True}])
def test_a_field_that_was_changed_for_one_serializer_is_heard(change):
    serializer = Odd(data={"later": "a", "loud": "b"}, context={})
    vars(serializer.fields["loud"]).update(change)
    assert serializer.is_valid()
    assert ("loud" in serializer.validated_data) == ("required" in change)
    serializer = Odd(data={"later": "a"}, context={})
    vars(serializer.fields["loud"]).update(change)
    assert serializer.is_valid() == ("read_only" in change)


def test_who_was_asked_before_judges_the_next_at_once(monkeypatch):
    serializer = PetSerializer(context={})
    for wrong in ({}, {"species": "unicorn"}, {"wings": 2}):
        with pytest.raises(serializers.ValidationError):
            serializer.run_validation(wrong)
    monkeypatch.setattr(serializers.Serializer, "to_internal_value", None)
    assert serializer.run_validation({"species": "dog"}) == {"species": "dog"}


def test_a_serializer_for_a_request_is_as_drf_makes_it():
    """All that it holds, but for how many fields were made before it."""
    pet, context = Pet(), {"a": 1}
    for options in ({"data": {}}, {"instance": pet, "data": {}, "partial": True}, {}):
        made = vars(PetSerializer(**options, context=context))
        with patch("api.serializers.blank", side_effect=AssertionError):
            plain = vars(PetSerializer(**options, context=context, label=None))
        for kept in (made, plain):
            kept.pop("_creation_counter")
            kept.pop("_kwargs")
        assert made == plain


def test_none_is_counted_among_the_fields_that_there_are():
    PetSerializer(data=PET, context={}).is_valid()
    before = serializers.Field._creation_counter
    serializer = PetSerializer(data=json.loads(json.dumps(PET)), context={})
    assert serializer.is_valid()
    assert serializers.Field._creation_counter == before


def test_every_kind_that_is_known_is_used(monkeypatch):
    fields = [*PetSerializer().fields.values(), *PetChangeSerializer().fields.values()]
    assert accepting.KNOWN.keys() - {TagField} <= {type(field) for field in fields}
