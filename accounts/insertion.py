"""Rows inserted one by one, by SQL that is written once (see prepared.py)."""

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.sql import InsertQuery

from .prepared import in_words_of, run_directly


class PreparedInsert:
    """Inserts rows of `model` as their save() does, but for signals."""

    def __init__(self, model):
        self.model = model
        self.fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        self.sql = None

    def write(self, row):
        connection = connections[DEFAULT_DB_ALIAS]
        query = InsertQuery(self.model)
        query.insert_values(self.fields, [row])
        compiler = query.get_compiler(connection=connection)
        # SQLite tells the id unasked.  Asked for it, the write lock would be held until the thread
        # has its turn to read it: the slowest of many at once would wait ten times as long.
        is_asked = connection.vendor != "sqlite"
        compiler.returning_fields = [self.model._meta.pk] if is_asked else []
        self.prepare = [preparation(field) for field in self.fields]
        [(sql, parameters)] = compiler.as_sql()
        self.native_sql = in_words_of(connection, sql, parameters)
        self.sql = sql

    def insert(self, row):
        """Insert `row`, which then has its id.  A failure is the end of the transaction that it is
        in, if it is in one."""
        if self.sql is None:
            self.write(row)
        connection = connections[DEFAULT_DB_ALIAS]
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
    # By a cursor of the backend's: SQLite's writers take turns.
    cursor = context["connection"].create_cursor()
    try:
        return insert(cursor, sql, parameters)
    finally:
        cursor.close()


# What is kept as it is, and which values that goes without saying of.
AS_IT_IS = {
    models.BigIntegerField: int,
    models.BooleanField: bool,
    models.CharField: str,
    models.ForeignKey: int,
    models.TextField: str,
}


def preparation(field):
    """Return a function that gives what is kept in `field` of a row, as save() does."""
    name, kind = field.attname, AS_IT_IS.get(type(field))

    def prepare(row, connection):
        return field.get_db_prep_save(field.pre_save(row, add=True), connection)

    def prepare_quickly(row, connection):
        value = getattr(row, name)
        return value if type(value) is kind else prepare(row, connection)

    return prepare_quickly if kind else prepare
