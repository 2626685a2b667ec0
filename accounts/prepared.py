"""Queries whose SQL is written once, with gaps that are filled for each request.

Writing a query's SQL costs Django ten times what a database takes to answer it.  The ORM still
writes it, here as everywhere, and reads what comes back: only not each time.

    NAMED = Prepared(Pet.objects.filter(name=Gap("name", models.TextField())).values_list("id"))
    NAMED.rows(name="Rex")
"""

import threading
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.sqlite3.base import DatabaseOperations
from django.db.models import Expression, JSONField
from django.db.models.base import ModelState
from django.db.models.expressions import Col

mine = threading.local()


def this_connection():
    """Return the connection of this thread: the same each time, found in a tenth of the time."""
    try:
        return mine.connection
    except AttributeError:
        mine.connection = connections[DEFAULT_DB_ALIAS]
        return mine.connection


class Gap(Expression):
    """Stands in a query for the value that is given as `name` each time; of the type of
    `output_field`, a model's field."""

    def __init__(self, name, output_field):
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler, connection):
        return "%s", [self]


class Prepared:
    """What `queryset` asks, with Gaps in it; written at its first use, for all threads.

    It is made of `values_list`, and then has `raw`, `rows` and `row`; or of models, with
    `select_related` and `only`, and then has `raw` and `one`.  All take the values of the gaps by
    name, cost one query, and raise KeyError for a value that is missing.  A queryset that the ORM
    knows to be empty (`none()`, `pk__in=[]`) raises EmptyResultSet.

    PostgreSQL plans it once, for any values; or, `for_the_values`, each time for those that it is
    given, which takes 0.3 ms: where some of them are rare and others common.

    Once it is written, `sql` and `parameters` are as the ORM has them, with the Gaps among the
    parameters, and `converters` are what a row goes through: `(place, function, column)`.
    """

    def __init__(self, queryset, for_the_values=False):
        self.queryset = queryset
        self.fetch = fetch_planned_anew if for_the_values else fetch
        self.sql = None

    def write(self):
        """Write the SQL, if it is not written yet."""
        if self.sql is not None:
            return
        # Not for the connection of this thread, which the converters would hold when it has ended.
        self.unopened = connections.create_connection(DEFAULT_DB_ALIAS)
        # A copy: writing changes the query, and another thread may be at it too.
        compiler = self.queryset.query.chain().get_compiler(connection=self.unopened)
        sql, self.parameters = compiler.as_sql()
        columns = [column for column, *_ in compiler.select[: compiler.col_count]]
        self.converters = [
            (place, quick, column)
            for place, (converts, column) in compiler.get_converters(columns).items()
            for convert in converts
            if (quick := quicker(convert, column))
        ]
        if self.queryset._fields is None:
            annotations = compiler.annotation_col_map or {}
            self.make = maker(compiler.klass_info, compiler.select, annotations)
        self.template = [None if isinstance(part, Gap) else part for part in self.parameters]
        self.gaps = [
            (place, part.name, part.output_field.get_db_prep_value)
            for place, part in enumerate(self.parameters)
            if isinstance(part, Gap)
        ]
        self.native_sql = in_words_of(self.unopened, sql, self.parameters)
        # Last: whoever sees it finds the rest.  Two that write at once set the same.
        self.sql = sql

    def raw(self, **values):
        """Return the rows as a list of tuples, as the database gives them."""
        self.write()
        connection = this_connection()
        parameters = self.template.copy()
        for place, name, prepare in self.gaps:
            parameters[place] = prepare(values[name], connection)
        if not connection.queries_logged:
            return run_directly(connection, self.fetch, self.native_sql, parameters)
        with connection.cursor() as cursor:
            cursor.execute(self.sql, parameters)
            return cursor.fetchall()

    def rows(self, **values):
        """Return the rows as the ORM does: a list of lists."""
        rows = [list(row) for row in self.raw(**values)]
        for row in rows:
            for place, convert, column in self.converters:
                row[place] = convert(row[place], column, self.unopened)
        return rows

    def row(self, **values):
        """Return the first row as the ORM does, None where there is none."""
        rows = self.rows(**values)
        return rows[0] if rows else None

    def one(self, **values):
        """Return the first object as the ORM does, with those it was joined with; None where there
        is none.  What was not selected is read when it is asked for."""
        rows = self.rows(**values)
        return self.make(rows[0]) if rows else None


def quicker(convert, column):
    """Return what converts as Django's `convert` does, None where there is nothing to do.

    SQLite's module has made truth and times of a column already, by its declared type, and gives
    other times as the text that is kept; all are in UTC, without saying so.
    """
    kept = column.target if isinstance(column, Col) else None
    of_sqlite = getattr(convert, "__func__", None)
    if kept is not None and of_sqlite is DatabaseOperations.convert_booleanfield_value:
        return None
    is_time = of_sqlite is DatabaseOperations.convert_datetimefield_value
    if is_time and connections.settings[DEFAULT_DB_ALIAS]["TIME_ZONE"] is None:
        return as_utc
    if isinstance(kept, JSONField):
        return lambda text, *about: [] if text == "[]" else convert(text, *about)
    return convert


def as_utc(value, column, connection):
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value and (value if value.tzinfo else value.replace(tzinfo=UTC))


def run_directly(connection, run, sql, parameters):
    """Return what `run(sql, parameters, many, context)` does, with SQL `in_words_of` the database.

    As by a cursor of Django's, which takes as long as the database: it translates the SQL, and
    hands it through four functions.
    """
    connection.validate_no_broken_transaction()
    connection.close_if_health_check_failed()
    if connection.connection is None:
        connection.ensure_connection()
    for wrapper in reversed(connection.execute_wrappers):
        run = partial(wrapper, run)
    with connection.wrap_database_errors:
        return run(sql, parameters, False, {"connection": connection})


def in_words_of(connection, sql, parameters):
    """Return what the ORM wrote with the marks for `parameters` that the database's module has."""
    return sql % (("?",) * len(parameters)) if connection.vendor == "sqlite" else sql


def fetch(sql, parameters, many, context, **options):
    connection = context["connection"]
    if connection.vendor == "sqlite":  # which makes a cursor in one step with asking
        return connection.connection.execute(sql, parameters).fetchall()
    with connection.create_cursor() as cursor:
        cursor.execute(sql, parameters, **options)
        return cursor.fetchall()


def fetch_planned_anew(*arguments):
    return fetch(*arguments, prepare=False)  # psycopg's


def values_at(*places):
    """Return a function that gives the tuple of what stands at `places` of a row."""
    if len(places) == 1:  # of which itemgetter makes no tuple
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


def maker(info, select, annotations=None):
    """Return a function that makes a model's object of a row, with those that are joined with it.

    `info` is what the ORM's compiler knows of the model, `select` and `annotations` its columns.
    Objects are made as unpickling makes them: `__init__`, which goes through every field that the
    model has, also those that were not read, takes as long as the query.  No signals are sent.
    """
    model, alias = info["model"], DEFAULT_DB_ALIAS
    columns = {select[place][0].target.attname: place for place in info["select_fields"]}
    pk = columns[model._meta.pk.attname]
    columns |= annotations or {}
    names, values = tuple(columns), values_at(*columns.values())
    joined = [
        (maker(other, select), other["local_setter"], other["remote_setter"])
        for other in info.get("related_klass_infos", ())
    ]

    def make(row):
        if row[pk] is None:  # joined with nothing
            return None
        made = model.__new__(model)
        state = made._state = ModelState()
        state.adding, state.db = False, alias
        vars(made).update(zip(names, values(row), strict=True))
        for make_other, set_here, set_there in joined:
            other = make_other(row)
            set_here(made, other)
            if other is not None:
                set_there(other, made)
        return made

    return make
