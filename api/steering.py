"""Which index a list is read off, where SQLite cannot know.

What is narrowed can be looked up in an index and then be sorted, which is quick where few belong;
or all is walked in the order of the list, past what does not belong, which is quick where many do.
PostgreSQL knows by its statistics how many do.  SQLite has none unless somebody runs ANALYZE, and
then the average of all values: so it is asked whether there are more than so many, which takes it a
tenth of a millisecond.
"""

from copy import copy
from math import isqrt

from django.db import connection, connections
from django.db.models import F, Func
from django.db.models.expressions import Col, OrderBy
from django.db.models.lookups import (
    Exact,
    GreaterThan,
    GreaterThanOrEqual,
    In,
    LessThan,
    LessThanOrEqual,
)

from accounts.prepared import Gap

from . import search

RANGES = GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual


class AsItIs(Func):
    """What SQLite looks up in no index (https://www.sqlite.org/optoverview.html#uplus)."""

    template, arity = "+%(expressions)s", 1


class Condition:
    """One of the conditions of a query that an index begins with.

    `place` is where it stands among those that must all hold; `is_ordered` says whether that index
    goes on in the order of the list.
    """

    many = None

    def __init__(self, place, node, model, is_ordered):
        self.place, self.node, self.model, self.is_ordered = place, node, model, is_ordered

    def meeting(self):
        """Return the queryset of the ids of those that meet the condition."""
        rows = self.model._base_manager.order_by()
        rows.query.get_initial_alias()
        rows.query.where.children.append(self.node)
        return rows.values_list("pk")

    def beyond_many(self):
        """Return the queryset of one row, if many meet the condition."""
        return self.meeting()[self.many : self.many + 1]

    def is_known(self, values):
        """Return whether how many meet it can be asked for, with `values` in its gaps."""
        return True

    def look_up(self, rows):
        """Return `rows`, all of whose other conditions are looked up in no index, by this one."""
        return rows

    def leave(self, rows):
        """Have it looked up in no index by `rows`."""
        rows.query.where.children[self.place] = as_it_is(self.node)


class TextCondition(Condition):
    """That a text stands in a name or a breed: in no index itself, but its trigrams are."""

    def __init__(self, place, node, text):
        super().__init__(place, node, None, is_ordered=False)
        self.text = text

    def meeting(self):
        return search.may_have(self.text)

    def is_known(self, values):
        text = values[self.text.name] if isinstance(self.text, Gap) else self.text
        return len(text) >= search.LETTERS

    def look_up(self, rows):
        return rows.filter(pk__in=self.meeting())

    def leave(self, rows):
        pass


def many(model):
    """Return of how many rows on it is quicker to walk past the others than to sort them.

    A page has come when 25 * all / so many are passed, each of which takes half as long.
    """
    newest = model._base_manager.order_by("-pk").values_list("pk", flat=True).first()
    return max(1000, isqrt(12 * (newest or 0)))  # by its id, which is about how many there are


def conditions(rows, ordering):
    """Return the Conditions of a queryset to choose from: none where there is no choice."""
    if connection.vendor != "sqlite":
        return []
    order, found = [column_of(rows, name.lstrip("-")) for name in ordering], []
    for place, node in enumerate(rows.query.where.children):
        if (text := search.wanted(node)) and search.is_kept(connection):
            found.append(TextCondition(place, node, text))
        column, what, is_one_value = narrowed(node)
        if column is None or (column.target.model, what) in order:
            continue
        model = column.target.model
        indexes = [names for names in map(made_of, model._meta.indexes) if names[0] == what]
        if indexes and column.alias == model._meta.db_table:
            is_ordered = is_one_value and any(
                [(model, name) for name in names[1 : len(order) + 1]] == order for names in indexes
            )
            found.append(Condition(place, node, model, is_ordered))
    if not found or (len(found) == 1 and found[0].is_ordered):
        return []
    number = many(rows.model)
    for condition in found:
        condition.many = number
    return found


def choose(conditions, is_met_by_many, values=None):
    """Return which of `conditions`, with `values` in their gaps, to look up; None for none."""
    for condition in conditions:
        if condition.is_known(values) and not is_met_by_many(condition):
            return condition
    return next((condition for condition in conditions if condition.is_ordered), None)


def steer(rows, conditions, chosen):
    """Return `rows`, a queryset that has `conditions` and perhaps others after them, to be read by
    the one that was `chosen`."""
    if connection.vendor != "sqlite":
        return rows
    rows = rows.all()
    read_first(rows)
    for condition in conditions:
        if condition is not chosen:
            condition.leave(rows)
    rows = chosen.look_up(rows) if chosen else rows
    if chosen and not chosen.is_ordered:
        fields = rows.query.order_by or rows.model._meta.ordering
        order = [OrderBy(AsItIs(F(name.lstrip("-"))), name.startswith("-")) for name in fields]
        rows = rows.order_by(*order)
    return rows


def read_first(rows):
    """Have the rows of a queryset read before those that are joined by their foreign keys.

    SQLite may think better of it, and sort all: where it knows one index by an old ANALYZE and not
    another.  Of an outer join it must, and it comes to the same: neither key is null.
    """
    query = rows.query
    for name in query.select_related or ():
        query.setup_joins([name], query.get_meta(), query.get_initial_alias())
    for alias, join in [*query.alias_map.items()]:
        if getattr(getattr(join, "join_field", None), "many_to_one", False):
            query.alias_map[alias] = join.promote()


def know_anew(using, plan=(), **kwargs):
    """Have SQLite's statistics made anew, if there are any, when migrations were made.

    It would take an index of which they know nothing for the best there is.
    """
    connection = connections[using]
    if connection.vendor == "sqlite" and plan:
        with connection.cursor() as cursor:
            if "sqlite_stat1" in connection.introspection.table_names(cursor):
                cursor.execute("ANALYZE")


def as_it_is(node):
    node = copy(node)
    if hasattr(node, "children"):
        node.children = [as_it_is(child) for child in node.children]
    else:
        node.lhs = AsItIs(node.lhs, output_field=node.lhs.output_field)
    return node


# --- What a query and an index are made of -----------------------------------------------------


def column_of(rows, name):
    """Return `(model, name)` of the column that a queryset is ordered by."""
    annotation = rows.query.annotations.get(name)
    if isinstance(annotation, Col):
        return annotation.target.model, annotation.target.name
    return rows.model, name


def narrowed(node):
    """Return the column that `node` of a query narrows, what an index of that is made of, and
    whether to one value; `(None, None, False)` where it is none that an index can begin with."""
    if hasattr(node, "children"):  # any of some values is written as one or the other
        kinds = [narrowed(child) for child in node.children]
        if kinds and not node.negated and all(kind[:2] == kinds[0][:2] for kind in kinds):
            if len(kinds) == 1:
                return kinds[0]
            if node.connector == "OR":
                return *kinds[0][:2], False
        return None, None, False
    is_one = isinstance(node, Exact) or (
        isinstance(node, In) and isinstance(node.rhs, list) and len(node.rhs) == 1
    )
    if is_one or isinstance(node, RANGES):
        columns = [part for part in node.lhs.flatten() if isinstance(part, Col)]
        if len(columns) == 1:
            return columns[0], named(node.lhs), is_one
    return None, None, False


def made_of(index):
    """Return the names of what `index` is made of."""
    return [name for name, _ in index.fields_orders] or [named(part) for part in index.expressions]


def named(expression):
    """Return the name of a column, or of what a function makes of it."""
    if isinstance(expression, Col):
        return expression.target.name
    if isinstance(expression, F):
        return expression.name
    inner = [named(part) for part in expression.get_source_expressions() if part is not None]
    return f"{type(expression).__name__}({', '.join(inner)})"
