"""Rows inserted one by one, by SQL that is written once (see prepared.py)."""

from django.db import connection
from django.db.models.sql import InsertQuery


class PreparedInsert:
    """Inserts rows of `model` as their save() does, but for signals."""

    def __init__(self, model):
        self.model = model
        self.fields = [field for field in model._meta.concrete_fields if not field.primary_key]
        self.sql = None

    def write(self, row):
        query = InsertQuery(self.model)
        query.insert_values(self.fields, [row])
        compiler = query.get_compiler(connection=connection)
        # SQLite tells the id unasked.  Asked for it, the write lock would be held until the thread
        # has its turn to read it: the slowest of many at once would wait ten times as long.
        self.is_asked = connection.vendor != "sqlite"
        compiler.returning_fields = [self.model._meta.pk] if self.is_asked else []
        [(self.sql, _)] = compiler.as_sql()

    def insert(self, row):
        """Insert `row`, which then has its id.  A failure is the end of the transaction that it is
        in, if it is in one."""
        if self.sql is None:
            self.write(row)
        parameters = [
            field.get_db_prep_save(field.pre_save(row, add=True), connection)
            for field in self.fields
        ]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, parameters)
            row.pk = cursor.fetchone()[0] if self.is_asked else cursor.lastrowid
        row._state.adding, row._state.db = False, connection.alias
