"""Rows as files hold them: CSV (RFC 4180) and NDJSON, read line by line and written as they come.

An NDJSON line is what the API takes as a body.  A CSV cell is text, so it is read by its field:

- an empty cell says nothing of the field; `true` and `false` as in JSON
- a choice is its value or its name, in any case: `guinea_pig`, `Guinea pig`
- a date is `2015-12-18` or, as American cities publish it, `December 18 2015`
- tags are `friendly|good with children`, or a JSON list, which may hold tags with a `|`
- an apostrophe before what a spreadsheet would take for a formula is not part of the text

The headings of CSV are field names, or those of Seattle's published licences.
"""

import csv
import json
import re
from collections import deque
from typing import Any, NamedTuple

from rest_framework import serializers

# What a line, or a record over several lines, may have: as much as a request body.
MAX_LENGTH = 1024 * 1024

# https://data.seattle.gov/d/jguv-t9rb
SEATTLE = {
    "license issue date": "licence_issued_on",
    "license number": "licence_number",
    "animal's name": "name",
    "species": "species",
    "primary breed": "breed",
    "secondary breed": "secondary_breed",
    "zip code": "postal_code",
}
# Not strptime's %B: that reads the months of the machine's language.
MONTHS = [
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
]
LONG_DATE = re.compile(rf"({'|'.join(MONTHS)}) (\d\d?),? (\d{{4}})")
# OWASP, "CSV Injection".  An apostrophe that is there already gets one more, so that taking one
# away always gives back the text.
FORMULA = re.compile(r"'*[=+\-@＝＋－＠\t\r\n]")


class UnreadableFileError(Exception):
    """The file as a whole cannot be read on; the message says where and why."""


class Row(NamedTuple):
    """A row and the number of the line where it starts; either `values` or a `problem`."""

    line: int
    values: Any  # a dict of fields
    problem: str = ""


def read(stream, format, fields):
    """Yield the Rows of a binary `stream`; `fields` are those of the serializer they are for.

    Raises UnreadableFileError.  Holds one row at a time, and no row of more than MAX_LENGTH.
    """
    return READERS[format](Lines(stream), fields)


def write(rows, format, file, names, is_first=True):
    """Write `rows`, dicts of JSON values, to the text `file`.

    `names` are the columns of CSV; a cell that a row lacks is empty.  `is_first` says that nothing
    stands before the rows: CSV begins with its headings.
    """
    WRITERS[format](rows, file, names, is_first)


class Lines:
    """The numbered lines of a binary stream as text; remembers those of the record under way."""

    def __init__(self, stream):
        self.stream = stream
        self.number = 0
        self.put_back = deque()
        self.patience = 4 * MAX_LENGTH
        self.start_record()

    def start_record(self):
        self.record = []
        self.length = 0

    def abandon_record(self):
        """Read on after the record's first line: the others may be rows of their own.

        Returns the number of the last line that is given up.
        """
        # Bounded, because a file can be made such that each line is read with all that follow.
        if self.length <= self.patience:
            self.patience -= self.length
            self.put_back.extendleft(reversed(self.record[1:]))
            del self.record[1:]
        return self.record[-1][0]

    def __iter__(self):
        return self

    def __next__(self):
        number, text = self.put_back.popleft() if self.put_back else self.read()
        self.record.append((number, text))
        self.length += len(text or "")
        if text is None or self.length > MAX_LENGTH:
            raise csv.Error(f"longer than {MAX_LENGTH:,} characters")
        return text

    def read(self):
        """Return the next line's number and text; the text of one that is too long is None."""
        data = self.stream.readline(MAX_LENGTH + 1)
        if not data:
            raise StopIteration
        self.number += 1
        if len(data) > MAX_LENGTH and not data.endswith(b"\n"):
            while data and not data.endswith(b"\n"):
                data = self.stream.readline(MAX_LENGTH)
            return self.number, None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise UnreadableFileError(f"Line {self.number} is not UTF-8.") from None
        return self.number, text.removeprefix("\ufeff") if self.number == 1 else text


def read_records(lines):
    """Yield a Row of cells for each CSV record that has any content."""
    reader = csv.reader(lines, strict=True)
    while True:
        lines.start_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            # A quotation mark that nobody closes would take the rest of the file with it.
            first, last = lines.record[0][0], lines.abandon_record()
            lost = f" The lines to {last} are lost with it." if last > first else ""
            yield Row(first, None, f"Not CSV: {str(error).partition(' - ')[0]}.{lost}")
        else:
            if any(cells):
                yield Row(lines.record[0][0], cells)


def read_csv(lines, fields):
    records = read_records(lines)
    header = next(records, None)
    if header is None:
        raise UnreadableFileError("The file is empty; its first line names the columns.")
    if header.problem:
        raise UnreadableFileError(f"The header in line {header.line}: {header.problem}")
    columns = [column_for(heading, fields) for heading in header.values]
    check_columns(columns, fields)
    readers = [None if fields[name].read_only else reader_for(fields[name]) for name in columns]
    is_seattles = "mixed_breed" not in columns and "Secondary Breed" in header.values
    for row in records:
        line, cells, problem = row
        if problem:
            yield row
            continue
        if len(cells) != len(columns):
            reason = f"{len(cells)} cells under {len(columns)} columns."
            yield Row(line, None, reason)
            continue
        values = {
            name: reader(text[1:] if text[0] == "'" and FORMULA.match(text) else text)
            for name, reader, text in zip(columns, readers, cells, strict=True)
            if reader and text and not text.isspace()
        }
        # Seattle writes "Mix" where a breed is not known: kept as it is published, and said in
        # our words too, so that whoever looks for mixed breeds finds it.
        if is_seattles and "Mix" in (values.get("breed"), values.get("secondary_breed")):
            values["mixed_breed"] = True
        yield Row(line, values)


def column_for(heading, fields):
    """Return the field that a heading means."""
    name = heading.strip().casefold()
    if name in fields:
        return name
    if name in SEATTLE:
        return SEATTLE[name]
    known = ", ".join(name for name, field in fields.items() if not field.read_only)
    raise UnreadableFileError(f"Unknown column {shown(heading)!r}. The columns are: {known}.")


def check_columns(columns, fields):
    for name in columns:
        if columns.count(name) > 1:
            raise UnreadableFileError(f"Two columns for {name}.")
    for name, field in fields.items():
        if field.required and not field.read_only and name not in columns:
            raise UnreadableFileError(f"The column {name} is missing.")


def reader_for(field):
    """Return the function that turns a cell of `field` into what the API would be sent."""
    if isinstance(field, serializers.ListField):
        return read_list
    if isinstance(field, serializers.DateField):
        return read_date
    if isinstance(field, serializers.BooleanField):
        return read_bool
    if isinstance(field, serializers.ChoiceField):
        words = {str(label).casefold(): value for value, label in field.choices.items()}
        words |= {str(value).casefold(): value for value in field.choices}
        return lambda text: words.get(text.strip().casefold(), text)
    return str


def read_date(text):
    match = LONG_DATE.fullmatch(text.strip())
    if match is None:
        return text
    month, day, year = match.groups()
    return f"{year}-{MONTHS.index(month) + 1:02}-{day:0>2}"


def read_bool(text):
    word = text.strip().lower()
    if word in serializers.BooleanField.TRUE_VALUES:
        return True
    # What is neither stays as it is: the serializer refuses it.
    return False if word in serializers.BooleanField.FALSE_VALUES else text


def read_list(text):
    if not text.startswith("["):
        return text.split("|")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text  # which the serializer refuses as no list


def read_ndjson(lines, fields):
    while True:
        lines.start_record()
        try:
            text = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(lines.number, None, f"Not JSON: {error}.")
            continue
        if text.isspace():
            continue
        values, problem = None, ""
        try:
            values = json.loads(text, parse_constant=refuse_constant)
        except RecursionError:
            problem = "Not JSON: nested too deeply."
        except ValueError as error:
            problem = f"Not JSON: {error}."
        else:
            if not isinstance(values, dict):
                problem = "Not a JSON object."
        yield Row(lines.number, None if problem else values, problem)


def refuse_constant(name):
    raise ValueError(f"{name} is no value")


def write_csv(rows, file, names, is_first):
    writer = csv.writer(file)
    if is_first:
        writer.writerow(map(cell, names))
    for row in rows:
        writer.writerow([cell(row.get(name)) for name in names])


def cell(value):
    """Return a JSON value as the text that `read_csv` reads, harmless in a spreadsheet."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):  # the owner
        value = value["username"]
    if isinstance(value, list):
        value = write_list(value)
    text = str(value)
    return f"'{text}" if FORMULA.match(text) else text


def write_list(items):
    joined = "|".join(items)
    if joined.startswith("[") or any("|" in item for item in items):
        return json.dumps(items, ensure_ascii=False)
    return joined


def write_ndjson(rows, file, names, is_first):
    for row in rows:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def shown(text):
    """Return text of a stranger's file as a terminal may show it: one line, of bounded length."""
    text = text if len(text) <= 300 else f"{text[:300]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


READERS = {"csv": read_csv, "ndjson": read_ndjson}
WRITERS = {"csv": write_csv, "ndjson": write_ndjson}
SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
