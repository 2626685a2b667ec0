"""Rows made and inserted one by one, by SQL that is written once (see prepared.py)."""

from datetime import UTC, date

from django.db import models
from django.db.models.base import ModelState
from django.db.models.sql import InsertQuery

from .prepared import in_words_of, run_directly, this_connection


class PreparedInsert:
    """Makes and inserts rows of `model` as its class and save() do, but for signals."""

    def __init__(self, model):
        self.model = model
        self.fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        self.defaults = [
            (field.attname, field.get_default) for field in model._meta.concrete_fields
        ]
        self.sql = None

    def make(self, **values):
        """Return `model(**values)`, all of them by the names of fields.

        As unpickling makes it: its class looks at whatever a model may be given, which takes longer
        than to judge what was sent.
        """
        row = self.model.__new__(self.model)
        row._state = ModelState()
        state = vars(row)
        for name, default in self.defaults:
            state[name] = default()
        for name, value in values.items():
            if name in state:
                state[name] = value
            elif self.model._meta.get_field(name).is_relation:  # whose id is kept
                setattr(row, name, value)
        return row

    def write(self, row):
        connection = this_connection()
        query = InsertQuery(self.model)
        query.insert_values(self.fields, [row])
        compiler = query.get_compiler(connection=connection)
        # SQLite tells the id unasked.  Asked for it, the write lock would be held until the thread
        # has its turn to read it: the slowest of many at once would wait ten times as long.
        is_asked = connection.vendor != "sqlite"
        compiler.returning_fields = [self.model._meta.pk] if is_asked else []
        self.prepare = [preparation(field, connection) for field in self.fields]
        [(sql, parameters)] = compiler.as_sql()
        self.native_sql = in_words_of(connection, sql, parameters)
        self.sql = sql

    def insert(self, row):
        """Insert `row`, which then has its id.  A failure is the end of the transaction that it is
        in, if it is in one."""
        if self.sql is None:
            self.write(row)
        connection = this_connection()
        parameters = [prepare(row, connection) for prepare in self.prepare]
        if connection.queries_logged:
            with connection.cursor() as cursor:
                row.pk = insert(cursor, self.sql, parameters)
        else:
            row.pk = run_directly(connection, insert_directly, self.native_sql, parameters)
        row._state.adding, row._state.db = False, connection.alias


def insert(cursor, sql, parameters):
    """Return the id of the row that was inserted."""
    cursor.execute(sql, parameters)
    return cursor.lastrowid if cursor.description is None else cursor.fetchone()[0]


def insert_directly(sql, parameters, many, context):
    connection = context["connection"]
    if connection.vendor == "sqlite":  # whose writers take turns
        return connection.execute_in_turn(sql, parameters).lastrowid
    cursor = connection.create_cursor()
    try:
        return insert(cursor, sql, parameters)
    finally:
        cursor.close()


# What is kept as it is, and which values that goes without saying of; nothing (NULL) is, too.
AS_IT_IS = {
    models.BigIntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.ForeignKey: int,
    models.TextField: str,
}
# What SQLite's module is given of other values: text.
AS_TEXT = {
    models.DateField: lambda value: str(value) if type(value) is date else None,
    models.DateTimeField: lambda value: (
        str(value.replace(tzinfo=None)) if value.tzinfo is UTC else None
    ),
    models.JSONField: lambda value: "[]" if value == [] else None,
}


def preparation(field, connection):
    """Return a function of a row that gives what is kept in `field` of it, as save() does."""
    name, kind = field.attname, AS_IT_IS.get(type(field))
    in_utc = connection.vendor == "sqlite" and connection.settings_dict["TIME_ZONE"] is None
    as_text = AS_TEXT.get(type(field)) if in_utc else None

    def prepare(row, connection):
        value = field.pre_save(row, add=True)
        text = as_text(value) if as_text and value is not None else None
        return field.get_db_prep_save(value, connection) if text is None else text

    def prepare_quickly(row, connection):
        value = getattr(row, name)
        return value if type(value) is kind or value is None else prepare(row, connection)

    return prepare_quickly if kind else prepare
