"""Queries whose SQL is written once, with gaps that are filled for each request.

Writing a query's SQL costs Django ten times what a database takes to answer it.  The ORM still
writes it, here as everywhere, and reads what comes back: only not each time.

    NAMED = Prepared(Pet.objects.filter(name=Gap("name", models.TextField())).values_list("id"))
    NAMED.rows(name="Rex")
"""

import re

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Expression
from django.db.models.base import ModelState


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

    Once it is written, `sql` and `parameters` are as the ORM has them, with the Gaps among the
    parameters, and `converters` are what a row goes through: `(place, function, column)`.
    """

    def __init__(self, queryset):
        self.queryset = queryset
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
            (place, convert, column)
            for place, (converts, column) in compiler.get_converters(columns).items()
            for convert in converts
        ]
        if self.queryset._fields is None:
            annotations = (compiler.annotation_col_map or {}).items()
            self.make = maker(compiler.klass_info, compiler.select, annotations)
        # By name: for SQLite, Django searches SQL for every %s each time, which takes as long as
        # the query; names it has Python put in at once.
        names = [f"p{n}" for n in range(len(self.parameters))]
        places = iter(names)
        self.named_sql = re.sub(r"(?<!%)%s", lambda _: f"%({next(places)})s", sql)
        parts = dict(zip(names, self.parameters, strict=True))
        self.fixed = {name: part for name, part in parts.items() if not isinstance(part, Gap)}
        self.gaps = [
            (name, gap.name, gap.output_field.get_db_prep_value)
            for name, gap in parts.items()
            if isinstance(gap, Gap)
        ]
        # Last: whoever sees it finds the rest.  Two that write at once set the same.
        self.sql = sql

    def raw(self, **values):
        """Return the rows as a list of tuples, as the database gives them."""
        self.write()
        connection = connections[DEFAULT_DB_ALIAS]
        parameters = self.fixed.copy()
        for place, name, prepare in self.gaps:
            parameters[place] = prepare(values[name], connection)
        with connection.cursor() as cursor:
            cursor.execute(self.named_sql, parameters)
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


def maker(info, select, annotations=()):
    """Return a function that makes a model's object of a row, with those that are joined with it.

    `info` is what the ORM's compiler knows of the model, `select` and `annotations` its columns.
    Objects are made as unpickling makes them: `__init__`, which goes through every field that the
    model has, also those that were not read, takes as long as the query.  No signals are sent.
    """
    model, alias = info["model"], DEFAULT_DB_ALIAS
    columns = {select[place][0].target.attname: place for place in info["select_fields"]}
    pk = columns[model._meta.pk.attname]
    columns = [*columns.items(), *annotations]
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
        vars(made).update({name: row[place] for name, place in columns})
        for make_other, set_here, set_there in joined:
            other = make_other(row)
            set_here(made, other)
            if other is not None:
                set_there(other, made)
        return made

    return make
