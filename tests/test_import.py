"""`manage.py import_pets`, as whoever brings a file to it sees it."""

import contextlib
import gc
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from accounts.models import User
from api import formats, imports
from api.models import Pet
from api.serializers import PetSerializer

from .conftest import make_pet

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT.parent / "shared/data/seattle_pet_licenses.csv"

# As the City of Seattle publishes it: lines 6 and 7 bear one number.
SEATTLE = """\
\ufeffLicense Issue Date,License Number,Animal's Name,Species,Primary Breed,Secondary Breed,ZIP Code
December 18 2015,S107948,Zen,Cat,Domestic Longhair,Mix,98117
June 04 2016,S116503,Misty,Cat,Siberian,,98117
January 27 2019,8005097,,Dog,"Retriever, Labrador","Poodle, Standard",98133
May 06 2021,952001,'Alani,Goat,Standard,,
March 25 2022,S104449,Freya,Cat,Mix,,98144
March 25 2022,S104449,Leonidas,Cat,Domestic Shorthair,Mix,98144
"""


@pytest.fixture
def load(alice, tmp_path, capsys):
    """Import a text (or bytes) for Alice; return stdout, stderr and the CommandError's message."""

    def load(content, name="pets.csv", owner="alice", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        out, err, failure = io.StringIO(), io.StringIO(), ""
        try:
            call_command("import_pets", path, owner=owner, stdout=out, stderr=err, **options)
        except CommandError as error:
            failure = str(error)
        assert capsys.readouterr() == ("", "")  # nothing goes past the command's own streams
        return out.getvalue(), err.getvalue(), failure

    return load


def ndjson(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def everything(owner):
    return list(Pet.objects.filter(owner=owner).order_by("id").values())


# --- The published file ------------------------------------------------------------------------


def test_published_licences_become_pets(load, alice):
    out, err, failure = load(SEATTLE)
    assert out.startswith("6 rows: 5 created, 0 updated, 0 unchanged, 1 bad, in ")
    assert err == "line 7: licence_number: Line 6 has the same.\n"
    assert failure == "Bad lines, which were not imported: 1."
    fields = [
        *("name", "species", "breed", "secondary_breed", "mixed_breed", "licence_number"),
        *("postal_code", "sex", "status", "is_public"),
    ]
    assert list(alice.pets.order_by("id").values_list(*fields)) == [
        ("Zen", "cat", "Domestic Longhair", "Mix", True, "S107948", "98117", *DEFAULTS),
        ("Misty", "cat", "Siberian", "", False, "S116503", "98117", *DEFAULTS),
        (
            "",
            "dog",
            "Retriever, Labrador",
            "Poodle, Standard",
            False,
            "8005097",
            "98133",
            *DEFAULTS,
        ),
        ("'Alani", "goat", "Standard", "", False, "952001", "", *DEFAULTS),
        ("Freya", "cat", "Mix", "", True, "S104449", "98144", *DEFAULTS),
    ]
    dates = alice.pets.order_by("id").values_list("licence_issued_on", flat=True)
    assert [str(date) for date in dates] == [
        *("2015-12-18", "2016-06-04", "2019-01-27", "2021-05-06", "2022-03-25")
    ]


LABRADOR = "Retriever, Labrador"
DEFAULTS = ("unknown", "home", True)  # sex, status, is_public
VALID = f"Valid are {', '.join(Pet.Species.values)}."


def test_a_second_run_changes_nothing(load, alice):
    _, bad_lines, _ = load(SEATTLE)
    before = everything(alice)
    out, err, _ = load(SEATTLE)
    assert out.startswith("6 rows: 0 created, 0 updated, 5 unchanged, 1 bad, in ")
    assert err == bad_lines
    assert everything(alice) == before


@pytest.mark.skipif(
    not PUBLISHED.exists(), reason="the city's whole file is not beside the project"
)
def test_the_whole_published_file_comes_in_and_goes_out_again(load, alice, tmp_path):
    import csv

    content = PUBLISHED.read_bytes()
    out, err, _ = load(content)
    assert out.startswith("43,908 rows: 43,904 created, 0 updated, 0 unchanged, 4 bad, in ")
    bad = re.findall(r"^line (\d+): licence_number: Line \d+ has the same\.$", err, re.MULTILINE)
    assert bad == ["6050", "13715", "14820", "32581"]
    before = alice.pets.order_by("id").values_list("updated_at", flat=True)
    again, err_again, _ = load(content)
    assert again.startswith("43,908 rows: 0 created, 0 updated, 43,904 unchanged, 4 bad, in ")
    assert err_again == err
    assert list(alice.pets.order_by("id").values_list("updated_at", flat=True)) == list(before)

    call_command("export_pets", tmp_path / "out.csv", owner="alice")
    columns = {name: formats.SEATTLE[name.casefold()] for name in SEATTLE_COLUMNS}
    published = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    expected = [
        {columns[heading]: text for heading, text in row.items()}
        for line, row in enumerate(published, 2)
        if str(line) not in bad
    ]
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        exported = list(csv.DictReader(file))
    assert len(exported) == len(expected)
    for row, source in zip(exported, expected, strict=True):
        source["licence_issued_on"] = formats.read_date(source["licence_issued_on"])
        source["species"] = source["species"].lower()
        assert {name: row[name] for name in source} == source


SEATTLE_COLUMNS = SEATTLE.lstrip("\ufeff").partition("\n")[0].split(",")


# --- What a row may say ------------------------------------------------------------------------


def test_our_own_columns_are_read_as_the_api_names_them(load, alice):
    out, err, failure = load(
        "Name,species,sex,size,birth_date,tags,mixed_breed,is_public,microchip,status,description\r\n"
        'Rex,Guinea pig,FEMALE,Extra large,"May 4, 2020",Shy|good with children,true,false,'
        '985112345678901,At home,"two\r\nlines, and a ""quote"""\r\n'
        "Tom,cat,,,,,,,,,\r\n"
    )
    assert (err, failure) == ("", "")
    assert out.startswith("2 rows: 2 created")
    rex, tom = alice.pets.order_by("id")
    assert (rex.name, rex.species, rex.sex, rex.size) == ("Rex", "guinea_pig", "female", "xlarge")
    assert (str(rex.birth_date), rex.mixed_breed, rex.is_public) == ("2020-05-04", True, False)
    assert rex.description == 'two\r\nlines, and a "quote"'
    assert rex.tags == ["shy", "good with children"]
    assert list(rex.tag_index.values_list("tag", flat=True).order_by("tag")) == sorted(rex.tags)
    assert (tom.sex, tom.size, tom.birth_date, tom.tags) == ("unknown", None, None, [])
    assert (tom.mixed_breed, tom.is_public, tom.status) == (False, True, "home")


def test_what_the_api_answers_can_be_imported(load, alice, bob, rex, alice_with_key):
    """Read-only fields are ignored, as the API ignores them: the pet becomes the importer's."""
    answer = alice_with_key.get(f"/api/v1/pets/{rex.pk}/").json()
    out, err, _ = load(ndjson(answer), name="pets.ndjson", owner="bob")
    assert (out[:16], err) == ("1 rows: 1 create", "")
    pet = bob.pets.get()
    assert (pet.name, pet.breed, pet.microchip) == (rex.name, rex.breed, rex.microchip)
    assert pet.pk != rex.pk


@pytest.mark.parametrize(
    "row",
    [
        {"species": "cow"},
        {"name": "Rex"},
        {"species": "dog", "name": "x" * 101},
        {"species": "dog", "name": None},
        {"species": "dog", "name": ["Rex"]},
        {"species": "dog", "name": "nul\0"},
        {"species": "dog", "name": "\ud800"},
        {"species": "dog", "microchip": "123"},
        {"species": "dog", "birth_date": "2999-01-01"},
        {"species": "dog", "birth_date": "2020-02-30"},
        {"species": "dog", "tags": "shy"},
        {"species": "dog", "tags": ["x" * 41, ""]},
        {"species": "dog", "tags": [str(n) for n in range(21)]},
        {"species": "dog", "is_public": "perhaps"},
        {"species": "dog", "colour": "brown", "wings": 2},
    ],
    ids=lambda row: json.dumps(row)[:60],
)
def test_a_row_is_refused_for_the_reasons_the_api_has(load, alice, alice_with_key, row):
    answer = alice_with_key.post("/api/v1/pets/", json.dumps(row))
    assert answer.status_code == 400
    out, err, _ = load(ndjson(row, {"species": "dog"}), name="pets.ndjson")
    assert out.startswith("2 rows: 1 created, 0 updated, 0 unchanged, 1 bad")
    assert answer.json()["errors"]
    for problem in answer.json()["errors"]:
        assert formats.shown(problem["message"]) in err
        assert problem["field"] in err


def test_bad_lines_are_named_by_the_line_they_start_in(load, alice):
    out, err, failure = load(
        "name,species,description\n"
        'Rex,dog,"over\nthree\nlines"\n'
        "\n"
        "Daisy,cow,\n"
        ",,\n"
        'Tom,cat,"over\ntwo"\n'
        "Bert,cat\n"
        "Ernie,cat,,,\n"
        "Oscar,bird,green\n"
    )
    assert err.splitlines() == [
        f'line 6: species: "cow" is not a valid choice. {VALID}',
        "line 10: 2 cells under 3 columns.",
        "line 11: 5 cells under 3 columns.",
    ]
    assert out.startswith("6 rows: 3 created, 0 updated, 0 unchanged, 3 bad")
    assert failure == "Bad lines, which were not imported: 3."
    assert set(alice.pets.values_list("name", flat=True)) == {"Rex", "Tom", "Oscar"}


def test_a_quotation_mark_that_nobody_closes_costs_its_own_line_only(load, alice):
    out, err, _ = load(
        "name,species,breed\n"
        'Rex,dog,"Beagle\n'
        'Tom,cat,"Persian, Blue"\n'
        'Bert,bird,"Finch\n'
        "Ernie,duck,Pekin\n"
    )
    assert out.startswith("4 rows: 2 created, 0 updated, 0 unchanged, 2 bad")
    assert [line.partition(": ")[0] for line in err.splitlines()] == ["line 2", "line 4"]
    assert "Not CSV" in err
    assert set(alice.pets.values_list("name", flat=True)) == {"Tom", "Ernie"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Re\0x,dog,", "name: Null characters are not allowed."),
        (b"x" * 10_000_000 + b",dog,", "Not CSV: longer than 1,048,576 characters."),
        (b"x" * 200_000 + b",dog,", "Not CSV: field larger than field limit (131072)."),
        (b"Rex,dog,\rTom,cat,", "Not CSV: new-line character seen in unquoted field."),
        (b"Rex,\x1b[2J,", f'species: "\\x1b[2J" is not a valid choice. {VALID}'),
        (b'Rex,"d"og,', "Not CSV: ',' expected after '\"'."),
    ],
    ids=["NUL", "10 MB", "200 kB", "CR", "escape", "quote"],
)
def test_a_line_that_is_no_row_costs_itself_only(load, alice, line, reason):
    out, err, _ = load(b"name,species,breed\nTom,cat,\n" + line + b"\nOscar,bird,\n")
    assert err == f"line 3: {reason}\n"
    assert out.startswith("3 rows: 2 created, 0 updated, 0 unchanged, 1 bad")


def test_a_cell_without_an_end_does_not_take_the_memory_with_it():
    class Endless(io.RawIOBase):
        lines = itertools.chain([b"species\n", b'"\n'], itertools.repeat(b'","\n'))

        def readline(self, limit):
            return next(self.lines)

    rows = formats.read(Endless(), "csv", PetSerializer().fields)
    assert next(rows) == (2, None, "Not CSV: longer than 1,048,576 characters.")
    assert next(rows) == (3, {"species": ","}, "")


def test_a_file_made_of_stray_quotation_marks_is_not_read_again_and_again():
    class Counted(formats.Lines):
        handed_out = 0

        def __next__(self):
            self.handed_out += 1
            return super().__next__()

    lines = Counted(io.BytesIO(b"species\n" + b'x","\n' * 50_000))
    rows = list(formats.read_csv(lines, PetSerializer().fields))
    assert rows[0].problem == "Not CSV: unexpected end of data."
    assert rows[-1].problem.endswith(" The lines to 50001 are lost with it.")
    assert lines.handed_out < 50_000 + 4 * formats.MAX_LENGTH / len('x","\n')


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1, 2", "nonsense", '{"species": NaN}', "[" * 100_000, '{"a": 1}}', "1" * 5000),
        *("null", "[]", '"dog"', "7"),
    ],
    ids=lambda line: line[:20],
)
def test_a_line_that_is_no_object_costs_itself_only(load, alice, line):
    content = ndjson({"species": "cat"}) + line + "\n\n" + ndjson({"species": "dog"})
    out, err, _ = load(content, name="pets.ndjson")
    assert out.startswith("3 rows: 2 created, 0 updated, 0 unchanged, 1 bad")
    assert err.startswith("line 2: Not ")
    assert len(err.splitlines()) == 1


# --- Files that cannot be read at all ----------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("name,species,wings\nRex,dog,2\n", "Unknown column 'wings'. The columns are: name, "),
        ("name;species\nRex;dog\n", "Unknown column 'name;species'. "),
        ("species,Species\ndog,dog\n", "Two columns for species."),
        ("name,species,Animal's Name\nRex,dog,Rex\n", "Two columns for name."),
        ("name\nRex\n", "The column species is missing."),
        ("", "The file is empty; its first line names the columns."),
        ("\n\n", "The file is empty; its first line names the columns."),
        ('na"me,"spec"ies\n', "The header in line 1: Not CSV: "),
        ("species\rdog\r", "The header in line 1: Not CSV: "),
        ("name,species\nRex,dog\n".encode("utf-16"), "Line 1 is not UTF-8."),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_before_anything_is_written(load, content, reason):
    out, err, failure = load(content)
    assert reason in failure
    assert failure.endswith(" Nothing was imported.")
    assert (out, err) == ("", "")
    assert not Pet.objects.exists()


def test_a_file_that_stops_being_utf_8_says_what_was_kept(load, alice, monkeypatch):
    monkeypatch.setattr(imports, "BATCH_SIZE", 2)
    content = b"name,species\nA,dog\nB,dog\nC,cow\nD,dog\nE,dog\n" + b"Jos\xe9,dog\n"
    _, err, failure = load(content)
    assert failure.endswith(
        "pets.csv: Line 7 is not UTF-8. Kept of what came before: 4 rows: 3 created, 0 updated, "
        "0 unchanged, 1 bad; run it again to go on."
    )
    assert err == f'line 4: species: "cow" is not a valid choice. {VALID}\n'
    assert "".join(alice.pets.order_by("id").values_list("name", flat=True)) == "ABD"


def test_what_is_missing_is_said(alice, tmp_path):
    def failure(file, **options):
        with pytest.raises(CommandError) as caught:
            call_command("import_pets", file, **options)
        return str(caught.value)

    assert failure(tmp_path / "no.csv", owner="alice").endswith(
        "no.csv: No such file or directory. Nothing was imported."
    )
    assert "Is a directory" in failure(tmp_path, owner="alice", format="csv")
    assert failure("-", owner="alice") == "Say the --format of -: csv or ndjson."
    assert failure("pets.csv", owner="nobody") == "There is no user 'nobody'."


@given(st.binary(max_size=300), st.sampled_from(["csv", "ndjson"]))
def test_no_bytes_whatever_end_in_a_traceback(content, format):
    serializer = PetSerializer()
    header = b"species,name,tags\n" if format == "csv" else b""
    stream = io.BytesIO(header + content)
    with contextlib.suppress(formats.UnreadableFileError):
        for row in formats.read(stream, format, serializer.fields):
            assert row.line >= 1
            assert bool(row.problem) == (row.values is None)
            if not row.problem:
                with contextlib.suppress(ValidationError):
                    serializer.run_validation(row.values)


def test_standard_input_is_read_when_the_file_is_a_dash(alice, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SEATTLE.encode())))
    out = io.StringIO()
    with pytest.raises(CommandError, match="not imported: 1"):
        call_command(
            "import_pets", "-", owner="alice", format="csv", stdout=out, stderr=io.StringIO()
        )
    assert out.getvalue().startswith("6 rows: 5 created")


# --- Importing again ---------------------------------------------------------------------------


def test_a_licence_number_is_the_pet_and_only_what_the_file_says_is_written(load, alice, bob):
    mine = make_pet(
        alice, name="Rex", licence_number="L1", color="brown", tags=["shy"], description="Kept."
    )
    same = make_pet(alice, name="Tom", species="cat", licence_number="L2", tags=["indoor"])
    others = make_pet(bob, name="Rex", licence_number="L1")
    out, err, _ = load(
        "licence_number,name,species,tags,color\nL1,Max,dog,calm|old,\nL2,Tom,cat,indoor,\n"
    )
    assert err == ""
    assert out.startswith("2 rows: 0 created, 1 updated, 1 unchanged, 0 bad")
    before = mine.updated_at
    mine.refresh_from_db()
    assert (mine.name, mine.tags, mine.color) == ("Max", ["calm", "old"], "brown")
    assert mine.description == "Kept."
    assert mine.updated_at > before
    assert sorted(mine.tag_index.values_list("tag", flat=True)) == ["calm", "old"]
    assert same.updated_at == Pet.objects.get(pk=same.pk).updated_at
    assert Pet.objects.get(pk=others.pk).name == "Rex"


def test_without_a_licence_number_the_microchip_is_the_pet(load, alice):
    licensed = make_pet(alice, licence_number="L1", microchip="985112345678901")
    plain = make_pet(alice, microchip="985112345678901")
    other = make_pet(alice, licence_number="L3", microchip="985112345678902")
    rows = (
        {"microchip": "985112345678901", "species": "dog", "name": "Plain"},
        {"microchip": "985112345678902", "species": "dog", "name": "Other"},
        {"microchip": "985112345678903", "species": "dog", "name": "New"},
        {"microchip": "985112345678903", "species": "dog", "name": "Twice"},
    )
    out, err, _ = load(ndjson(*rows), name="pets.ndjson")
    assert out.startswith("4 rows: 1 created, 2 updated, 0 unchanged, 1 bad")
    assert err == "line 4: microchip: Line 3 has the same.\n"
    names = {pet.pk: pet.name for pet in alice.pets.all()}
    assert (names[licensed.pk], names[plain.pk], names[other.pk]) == ("Rex", "Plain", "Other")
    assert load(ndjson(*rows), name="pets.ndjson")[0].startswith(
        "4 rows: 0 created, 0 updated, 3 unchanged, 1 bad"
    )


@pytest.mark.parametrize("batch_size", [1, 2, 1000])
def test_rows_that_are_alike_are_as_many_pets(load, alice, monkeypatch, batch_size):
    monkeypatch.setattr(imports, "BATCH_SIZE", batch_size)
    make_pet(alice, name="Duck", species="duck", licence_number="L1")  # known by its number
    make_pet(alice, name="Duck", species="duck", color="white")  # another duck
    content = "name,species,color\nDuck,duck,\nDuck,duck,\nGoose,goose,\nDuck,duck,white\n"
    assert load(content)[0].startswith("4 rows: 3 created, 0 updated, 1 unchanged, 0 bad")
    assert load(content)[0].startswith("4 rows: 0 created, 0 updated, 4 unchanged, 0 bad")
    assert load(content + "Duck,duck,\n")[0].startswith("5 rows: 1 created, 0 updated, 4 unch")
    assert alice.pets.filter(name="Duck", licence_number="", color="").count() == 3


def test_a_number_that_is_taken_meanwhile_costs_its_own_line_only(load, alice):
    """Another program registers L2 each time just before the import does."""
    under_way = []

    def rival(execute, sql, params, many, context):
        if sql.startswith("INSERT") and "L2" in str(params) and not under_way:
            under_way.append(True)
            make_pet(alice, name="Rival", licence_number="L2")
            under_way.clear()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(rival):
        out, err, failure = load("licence_number,species\nL1,dog\nL2,dog\nL3,dog\n")
    assert out.startswith("3 rows: 2 created, 0 updated, 0 unchanged, 1 bad")
    assert err.startswith("line 3: The database refuses it: ")
    assert failure == "Bad lines, which were not imported: 1."
    assert set(alice.pets.values_list("licence_number", flat=True)) == {"L1", "L3"}


def test_two_imports_of_one_file_at_once_make_each_pet_once(tmp_path):
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env |= {"VAR_DIR": str(tmp_path / "var"), "DJANGO_SETTINGS_MODULE": "project.settings"}
    manage = [sys.executable, "manage.py"]
    prepare = "from accounts.models import User; User.objects.create_user('seattle')"
    for command in (["migrate", "-v0"], ["shell", "-v0", "-c", prepare]):
        subprocess.run([*manage, *command], cwd=ROOT, env=env, check=True)
    file = tmp_path / "pets.csv"
    file.write_text("licence_number,species\n" + "".join(f"L{n},dog\n" for n in range(3000)))
    both = [
        subprocess.Popen(
            [*manage, "import_pets", str(file), "--owner", "seattle"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    counts = [re.findall(r"([\d,]+) (rows:|created|unchanged|bad)", out) for out, _ in answers]
    totals = {}
    for number, word in [pair for pairs in counts for pair in pairs]:
        totals[word] = totals.get(word, 0) + int(number.replace(",", ""))
    assert totals == {"rows:": 6000, "created": 3000, "unchanged": 3000, "bad": 0}


# --- Size --------------------------------------------------------------------------------------


def test_the_statements_of_a_batch_do_not_grow_with_its_pets(load, alice):
    def statements(count):
        content = "licence_number,name,species\n" + "".join(
            f"N{count}-{n},Rex,dog\n" for n in range(count)
        )
        load(content)
        with CaptureQueriesContext(connection) as again:
            load(content)
        with CaptureQueriesContext(connection) as changed:
            load(content.replace("Rex", "Max"))
        return len(again), len(changed)

    # The user, BEGIN, the pets by licence number, COMMIT; then the changes and their time too.
    assert statements(2) == statements(20)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the trap is SQLite's")
def test_pets_are_found_by_the_index_of_licence_numbers(load, alice):
    """SQLite leaves a partial index alone when the query does not repeat its condition."""
    content = "licence_number,species\nL1,dog\nL2,dog\n"
    load(content)
    with CaptureQueriesContext(connection) as queries:
        load(content)
    (look_up,) = [query["sql"] for query in queries if '"licence_number" IN' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {look_up}")
        plan = str(cursor.fetchall())
    assert "pet_licence_unique_per_owner (owner_id=? AND licence_number=?)" in plan


def test_memory_does_not_grow_with_the_rows(alice):
    def peak(count, start):
        rows = (
            formats.Row(n, {"species": "dog", "licence_number": f"L{n}"})
            for n in range(start, start + count)
        )
        run = imports.Import(User.objects.get(username="alice"), print)
        gc.collect()
        tracemalloc.start()
        run.run(rows)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert run.counts.created == count
        return size

    peak(1000, 0)  # what is loaded once
    # Whoever remembers licence numbers in a dict has nearly twice as much here.
    assert peak(10_000, 5000) < 1.5 * peak(1000, 1000)


# --- On a terminal -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_that_reaches_the_end(alice, tmp_path, monkeypatch):
    (tmp_path / "pets.csv").write_text("species\n" + "dog\n" * 5)
    monkeypatch.setattr(sys, "stderr", Terminal())
    call_command("import_pets", tmp_path / "pets.csv", owner="alice", stdout=io.StringIO())
    assert "100%" in sys.stderr.getvalue()
