"""`manage.py export_pets`: what came in goes out, and can come in again."""

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import User
from api import formats
from api.models import Pet
from api.serializers import PetSerializer

from .conftest import make_pet

ANOTHERS = {"id", "owner", "created_at", "updated_at"}  # what an import makes anew


def exported(**options):
    out = io.StringIO()
    call_command("export_pets", stdout=out, **options)
    return out.getvalue()


def rows_of(text, format):
    if format == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    else:
        rows = [json.loads(line) for line in text.split("\n")[:-1]]
    return [{name: row[name] for name in row if name not in ANOTHERS} for row in rows]


@pytest.fixture
def zoo(alice):
    """Pets that have everything a file may stumble over."""
    return [
        make_pet(alice, name="", species="cat", licence_number="S107948", is_public=False),
        make_pet(
            alice,
            name="=SUM(A1:A9)",
            species="guinea_pig",
            breed="Retriever, Labrador",
            secondary_breed="'Alani",
            mixed_breed=True,
            sex="female",
            birth_date="2020-02-29",
            size="xlarge",
            color="-1+2",
            description='Two\r\nlines, a "quote", a\ttab and 日本語 \u2028 🐕.',
            tags=["=1", "good with children"],
            status="found",
            licence_number="'=1",
            licence_issued_on="2015-12-18",
            postal_code="@98117",
            microchip="985112345678901",
        ),
        make_pet(alice, species="duck", name="Puddle", tags=["a|b", "[c]"]),
        make_pet(alice, species="duck", name="Ripple", tags=["[c]"]),
        make_pet(alice, species="duck", name="Ripple", tags=["[c]"]),
    ]


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_what_goes_out_comes_in_again(zoo, bob, tmp_path, format):
    file = tmp_path / f"pets.{format}"
    call_command("export_pets", file, owner="alice")
    report = io.StringIO()
    call_command("import_pets", file, owner="bob", stdout=report)
    assert report.getvalue().startswith("5 rows: 5 created, 0 updated, 0 unchanged, 0 bad")
    theirs, ours = (exported(owner=owner, format=format) for owner in ("bob", "alice"))
    assert rows_of(theirs, format) == rows_of(ours, format)
    assert len(rows_of(ours, format)) == len(zoo)
    unlike = {"id", "owner_id", "created_at", "updated_at", "version"}
    for pet, copy in zip(zoo, bob.pets.order_by("id"), strict=True):
        pet.refresh_from_db()
        for field in Pet._meta.concrete_fields:
            if field.attname not in unlike:
                assert getattr(copy, field.attname) == getattr(pet, field.attname)


@pytest.mark.parametrize("format", ["csv", "ndjson"])
def test_an_export_brought_back_to_its_owner_changes_nothing(zoo, tmp_path, format):
    call_command("export_pets", tmp_path / f"pets.{format}")
    report = io.StringIO()
    call_command("import_pets", tmp_path / f"pets.{format}", owner="alice", stdout=report)
    assert report.getvalue().startswith("5 rows: 0 created, 0 updated, 5 unchanged, 0 bad")


def test_a_line_is_what_the_api_answers_to_its_owner(zoo, alice_with_key):
    lines = [json.loads(line) for line in exported(format="ndjson").split("\n")[:-1]]
    for pet, line in zip(zoo, lines, strict=True):
        answer = alice_with_key.get(f"/api/v1/pets/{pet.pk}/").json()
        del answer["url"]
        assert line == answer


def test_the_columns_are_the_fields_of_the_api(zoo, alice_with_key):
    answer = alice_with_key.get(f"/api/v1/pets/{zoo[0].pk}/").json()
    header = exported().partition("\r\n")[0].split(",")
    assert header == [name for name in answer if name != "url"]


def test_a_spreadsheet_finds_no_formula_in_any_cell(zoo):
    cells = [cell for row in csv.reader(io.StringIO(exported(), newline="")) for cell in row]
    assert "'=SUM(A1:A9)" in cells
    assert "''=1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_everybodys_pets_go_out_unless_an_owner_is_named(zoo, bob):
    make_pet(bob, name="Bobs")
    owners = [row["owner"] for row in csv.DictReader(io.StringIO(exported(), newline=""))]
    assert owners == ["alice"] * 5 + ["bob"]
    assert [row["name"] for row in rows_of(exported(owner="bob"), "csv")] == ["Bobs"]


def test_many_pets_take_as_many_queries_as_one(alice, django_assert_num_queries):
    for count in (1, 10):
        for _ in range(count):
            make_pet(alice)
        # How many there are, for the bar; the pets with their owners.
        with django_assert_num_queries(2):
            exported()


def test_what_cannot_be_written_is_said(alice, tmp_path):
    def failure(*arguments, **options):
        with pytest.raises(CommandError) as caught:
            call_command("export_pets", *arguments, **options)
        return str(caught.value)

    assert failure(tmp_path / "no" / "pets.csv").endswith("No such file or directory.")
    assert "Say the --format" in failure(tmp_path / "pets.xlsx")
    assert failure(owner="nobody") == "There is no user 'nobody'."


# Text as the API keeps it: no NUL, no lone surrogates, and no space around it.
def text(size):
    marks = st.sampled_from([*"=+-@'\"|[],;\t\r\n\\", "\u2028", "é", "🐕"])
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(marks | letters, max_size=size).map(str.strip)


@given(
    format=st.sampled_from(["csv", "ndjson"]),
    name=text(100),
    breed=text(100),
    description=text(300),
    tags=st.lists(text(20).map(str.lower).filter(bool), max_size=5, unique=True),
)
def test_any_text_comes_back_as_it_was(format, name, breed, description, tags):
    given = {"name": name, "breed": breed, "description": description, "tags": tags}
    serializer = PetSerializer()
    del serializer.fields["url"]
    pet = Pet(owner=User(username="alice"), species="dog", **given)
    file = io.StringIO(newline="")
    names = list(serializer.fields)
    formats.write([serializer.to_representation(pet)], format, file, names)
    (row,) = formats.read(io.BytesIO(file.getvalue().encode()), format, serializer.fields)
    values = serializer.run_validation(row.values)
    # A cell that is empty is a field that was not given: the model's own default then.
    assert {field: values.get(field, type(said)()) for field, said in given.items()} == given
