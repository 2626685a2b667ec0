"""How many pets there are, kept by the database itself: no answer counts them.

Triggers count whatever writes the table of pets, in the same transaction: the API, an import, the
admin, the going of an account, a statement by hand.  What is counted of a pet is said once, in
COUNTS; both databases' triggers are made of it.
"""
# ruff: noqa: S608 -- SQL that is made of what stands here, of nothing that is sent

from django.db import connections, transaction

# Of each pet: the table, its columns and what they hold of the pet `{0}`, and whether it counts.
COUNTS = [
    ("api_petcount", {"owner": "0", "species": "{0}.species", "status": "{0}.status",
                      "is_public": "{0}.is_public"}, "1 = 1"),
    ("api_petcount", {"owner": "{0}.owner_id", "species": "{0}.species", "status": "{0}.status",
                      "is_public": "{0}.is_public"}, "1 = 1"),
    ("api_breedcount", {"species": "{0}.species", "breed": "{0}.breed"},
     "{0}.is_public AND {0}.breed <> ''"),
]  # fmt: skip
COUNTED = ["owner_id", "species", "status", "breed", "is_public"]
NAMES = ["api_pet_added", "api_pet_changed", "api_pet_removed"]  # of the triggers


def remove(using, plan=(), **kwargs):
    """Take the triggers away, before migrations: what they write to may change, or go.  Without
    a migration to be done nothing is."""
    connection = connections[using]
    if plan and "api_pet" in connection.introspection.table_names():
        with transaction.atomic(using), connection.cursor() as cursor:
            for name in NAMES:
                cursor.execute(REMOVE[connection.vendor].format(name))


def ensure(using, **kwargs):
    """Set up the triggers where they are missing, and count what is there: after migrations.

    Until it is done, which takes some seconds for a million pets, nobody else writes pets.
    """
    connection = connections[using]
    if "api_petcount" not in connection.introspection.table_names():
        return  # migrated back to before there was one
    with transaction.atomic(using), connection.cursor() as cursor:
        cursor.execute(THERE[connection.vendor])
        if cursor.fetchone()[0] < len(NAMES):
            for statement in TRIGGERS[connection.vendor]():
                cursor.execute(statement)
            recount(cursor)


def recount(cursor):
    """Count all pets anew, in a transaction: until its end nobody else writes pets."""
    if cursor.db.vendor == "postgresql":  # SQLite's transactions begin with a lock
        cursor.execute(LOCK)
    for table in ("api_petcount", "api_breedcount"):
        cursor.execute(f"DELETE FROM {table}")
    for table, values, condition in COUNTS:
        of_pet = ", ".join(values.values()).format("pet")
        groups = ", ".join(value.format("pet") for value in values.values() if "{0}" in value)
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}, number) SELECT {of_pet}, count(*)"
            f" FROM api_pet AS pet WHERE {condition.format('pet')} GROUP BY {groups}"
        )


# --- SQLite ---------------------------------------------------------------------------------------
# One writes at a time: each count is one row.


def on_sqlite():
    differs = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in COUNTED)
    events = {
        "added": ("INSERT", "", [*add("NEW")]),
        "removed": ("DELETE", "", [*take("OLD")]),
        "changed": (f"UPDATE OF {', '.join(COUNTED)}", f"WHEN {differs}",
                    [*take("OLD"), *add("NEW")]),
    }  # fmt: skip
    for name, (event, when, statements) in events.items():
        yield f"DROP TRIGGER IF EXISTS api_pet_{name}"
        yield (
            f"CREATE TRIGGER api_pet_{name} AFTER {event} ON api_pet FOR EACH ROW {when} "
            f"BEGIN {'; '.join(statements)}; END"
        )


def matching(values, row):
    return " AND ".join(f"{column} = {value.format(row)}" for column, value in values.items())


def add(row):
    for table, values, condition in COUNTS:
        counts = condition.format(row)
        yield f"UPDATE {table} SET number = number + 1 WHERE {matching(values, row)} AND {counts}"
        yield (
            f"INSERT INTO {table} ({', '.join(values)}, number) "
            f"SELECT {', '.join(values.values()).format(row)}, 1 WHERE changes() = 0 AND {counts}"
        )


def take(row):
    for table, values, condition in COUNTS:
        mine = f"WHERE {matching(values, row)} AND {condition.format(row)}"
        yield f"UPDATE {table} SET number = number - 1 {mine}"
        yield f"DELETE FROM {table} {mine} AND number = 0"


# --- PostgreSQL -----------------------------------------------------------------------------------
# Many write at a time, and a row that all of them changed would make each wait for the others'
# transactions, or end one that waits for another.  So a count may be several rows, to be summed up:
# who finds all of them taken adds one.  There are as many as once were written at the same time.


def on_postgresql():
    columns = ", ".join(COUNTED)
    come = f"SELECT {columns}, 1 AS n FROM come"
    gone = f"SELECT {columns}, -1 AS n FROM gone"
    # Once for a statement: row by row, a count that one transaction writes for each of thousands
    # would have as many versions, and each time all of them would be gone through.
    events = {
        "added": ("INSERT", "NEW TABLE AS come", come),
        "removed": ("DELETE", "OLD TABLE AS gone", gone),
        "changed": ("UPDATE", "OLD TABLE AS gone NEW TABLE AS come", f"{come} UNION ALL {gone}"),
    }
    for name, (event, tables, pets) in events.items():
        yield (
            f"CREATE OR REPLACE FUNCTION api_pet_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"DECLARE c record; mine bigint; rest bigint; "
            f"BEGIN {' '.join(loop(pets, *count) for count in COUNTS)} RETURN NULL; END $$"
        )
        yield f"DROP TRIGGER IF EXISTS api_pet_{name} ON api_pet"
        yield (
            f"CREATE TRIGGER api_pet_{name} AFTER {event} ON api_pet REFERENCING {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION api_pet_{name}()"
        )


def loop(pets, table, values, condition):
    selected = ", ".join(f"{value.format('pet')} AS {column}" for column, value in values.items())
    places = ", ".join(str(place + 1) for place in range(len(values)))
    mine = " AND ".join(f"{column} = c.{column}" for column in values)
    return f"""
        FOR c IN
            SELECT {selected}, sum(n) AS n FROM ({pets}) AS pet
            WHERE {condition.format("pet")} GROUP BY {places} HAVING sum(n) <> 0
        LOOP
            UPDATE {table} SET number = number + c.n WHERE id = (
                SELECT id FROM {table} WHERE {mine}
                LIMIT 1 FOR UPDATE SKIP LOCKED
            ) RETURNING id, number INTO mine, rest;
            IF NOT FOUND THEN
                INSERT INTO {table} ({", ".join(values)}, number)
                VALUES ({", ".join(f"c.{column}" for column in values)}, c.n);
            ELSIF rest = 0 THEN
                DELETE FROM {table} WHERE id = mine;
            END IF;
        END LOOP;"""


TRIGGERS = {"sqlite": on_sqlite, "postgresql": on_postgresql}
THERE = {
    "sqlite": "SELECT count(*) FROM sqlite_master"
    f" WHERE type = 'trigger' AND name IN {tuple(NAMES)}",
    "postgresql": f"SELECT count(*) FROM pg_trigger WHERE tgname IN {tuple(NAMES)}"
    " AND tgrelid = to_regclass('api_pet')",
}
REMOVE = {
    "sqlite": "DROP TRIGGER IF EXISTS {}",
    "postgresql": "DROP TRIGGER IF EXISTS {} ON api_pet",
}
LOCK = "LOCK TABLE api_pet IN SHARE ROW EXCLUSIVE MODE"
