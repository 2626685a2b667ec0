"""A WSGI function with sqlite3 and orjson and nothing between: the ceiling, not an API to keep.

Its SQL and its fields are written out; whoever adds a column writes it in four places.
"""

import hashlib
import os
import re
import sqlite3
import threading
from datetime import UTC, date, datetime

import orjson

DATABASE = os.environ["PEER_DATABASE"].removeprefix("sqlite:///")
PAGE = 25
PRAGMAS = """
    PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;
    PRAGMA cache_size=-32000; PRAGMA temp_store=MEMORY;
"""
TOKEN = """
    SELECT token.expires, token.scope, user.id, user.username, user.is_active
    FROM accounts_accesstoken AS token JOIN accounts_user AS user ON user.id = token.user_id
    WHERE token.token_checksum = ?
"""
PETS = """
    SELECT pet.id, pet.name, pet.species, pet.breed, pet.secondary_breed, pet.mixed_breed, pet.sex,
        pet.birth_date, pet.size, pet.color, pet.description, pet.tags, pet.status,
        pet.licence_number, pet.licence_issued_on, pet.postal_code, pet.is_public,
        pet.created_at, pet.updated_at, user.id, user.username
    FROM api_pet AS pet JOIN accounts_user AS user ON user.id = pet.owner_id
    WHERE (pet.is_public OR pet.owner_id = ?) AND
"""
LIST = f"{PETS} pet.id < ? ORDER BY pet.id DESC LIMIT {PAGE + 1}"
DETAIL = f"{PETS} pet.id = ?"
DEFAULTS = {
    "name": "", "breed": "", "secondary_breed": "", "mixed_breed": False, "sex": "unknown",
    "birth_date": None, "size": None, "color": "", "description": "", "tags": [], "status": "home",
    "licence_number": "", "licence_issued_on": None, "postal_code": "", "microchip": "",
    "is_public": True,
}  # fmt: skip
FIELDS = {"species", *DEFAULTS}
CHOICES = {
    "species": {
        "dog", "cat", "rabbit", "bird", "duck", "goose", "hamster", "guinea_pig", "horse", "goat",
        "pig", "reptile", "fish", "other",
    },
    "sex": {"female", "male", "unknown"},
    "size": {None, "small", "medium", "large", "xlarge"},
    "status": {"home", "lost", "found", "adoptable", "pending", "adopted", "deceased"},
}  # fmt: skip
LENGTHS = {
    "name": 100, "breed": 100, "secondary_breed": 100, "color": 100, "description": 5000,
    "licence_number": 50, "postal_code": 16,
}  # fmt: skip
COLUMNS = [*DEFAULTS, "species", "created_at", "updated_at", "owner_id", "version"]
INSERT = f"INSERT INTO api_pet ({', '.join(COLUMNS)}) VALUES (:{', :'.join(COLUMNS)})"
REASONS = {
    200: "200 OK", 201: "201 Created", 400: "400 Bad Request", 401: "401 Unauthorized",
    403: "403 Forbidden", 404: "404 Not Found", 405: "405 Method Not Allowed",
}  # fmt: skip
own = threading.local()


class Problem(Exception):  # noqa: N818  (the API's word for it)
    """Answered with its first argument as the status."""


def database():
    try:
        return own.connection
    except AttributeError:
        own.connection = sqlite3.connect(DATABASE, isolation_level=None)
        own.connection.executescript(PRAGMAS)
        return own.connection


def caller(environ, scope):
    """Return `(id, username)` of whose token it is; Problem 401 or 403 where it will not do."""
    scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = database().execute(TOKEN, (digest,)).fetchone()
        if found and found[4] and found[0] > datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"):
            if scope not in found[1].split():
                raise Problem(403)
            return found[2], found[3]
    raise Problem(401)


def shown(row):
    """Return the pet of a row as others see it."""
    (
        pk, name, species, breed, secondary_breed, mixed_breed, sex, birth_date, size, color,
        description, tags, status, licence_number, licence_issued_on, postal_code, is_public,
        created_at, updated_at, owner_id, owner,
    ) = row  # fmt: skip
    return {
        "id": pk,
        "owner": {"id": owner_id, "username": owner},
        "name": name,
        "species": species,
        "breed": breed,
        "secondary_breed": secondary_breed,
        "mixed_breed": mixed_breed == 1,
        "sex": sex,
        "birth_date": birth_date,
        "size": size,
        "color": color,
        "description": description,
        "tags": orjson.Fragment(tags),
        "status": status,
        "licence_number": licence_number,
        "licence_issued_on": licence_issued_on,
        "postal_code": postal_code,
        "is_public": is_public == 1,
        "created_at": instant(created_at),
        "updated_at": instant(updated_at),
    }


def instant(text):
    return f"{text[:10]}T{text[11:]}Z"


def list_pets(environ):
    user_id, _ = caller(environ, "pets:read")
    before = environ["QUERY_STRING"].removeprefix("before=") or "9223372036854775807"
    rows = database().execute(LIST, (user_id, int(before))).fetchall()
    following = None
    if len(rows) > PAGE:
        rows = rows[:PAGE]
        following = f"http://{environ['HTTP_HOST']}/api/v1/pets/?before={rows[-1][0]}"
    return 200, {"next": following, "previous": None, "results": [shown(row) for row in rows]}


def show_pet(environ, pet_id):
    user_id, _ = caller(environ, "pets:read")
    row = database().execute(DETAIL, (user_id, int(pet_id))).fetchone()
    if row is None:
        raise Problem(404)
    return 200, shown(row)


def create_pet(environ):
    user_id, username = caller(environ, "pets:write")
    try:
        sent = orjson.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        pet = DEFAULTS | sent
        tags, chip = pet["tags"], pet["microchip"]
        good = (
            pet.keys() == FIELDS
            and all(pet[name] in choices for name, choices in CHOICES.items())
            and all(len(pet[name].strip()) <= length for name, length in LENGTHS.items())
            and all(type(pet[name]) is bool for name in ("mixed_breed", "is_public"))
            and len(tags) <= 20
            and all(len(tag) <= 40 for tag in tags)
            and re.fullmatch("([0-9]{15})?", chip)
        )
        for name in ("birth_date", "licence_issued_on"):
            if pet[name] is not None:
                date.fromisoformat(pet[name])
    except (AttributeError, KeyError, TypeError, ValueError):
        good = False
    if not good:
        raise Problem(400)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    row = pet | {"tags": orjson.dumps(tags).decode(), "owner_id": user_id, "version": 0}
    row |= {"created_at": now, "updated_at": now}
    made = database().execute(INSERT, row).lastrowid
    owner = {"id": user_id, "username": username}
    stamps = {"created_at": instant(now), "updated_at": instant(now)}
    return 201, {"id": made, "owner": owner, **pet, **stamps}


def answer(environ):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/api/v1/pets/":
        if method == "GET":
            return list_pets(environ)
        if method == "POST":
            return create_pet(environ)
        raise Problem(405)
    found = re.fullmatch("/api/v1/pets/([0-9]{1,18})/", path)
    if not found:
        raise Problem(404)
    if method != "GET":
        raise Problem(405)
    return show_pet(environ, found[1])


def application(environ, start_response):
    headers = [("Content-Type", "application/json")]
    try:
        status, data = answer(environ)
    except Problem as problem:
        status, data = problem.args[0], {"status": problem.args[0]}
        if status == 401:
            headers.append(("WWW-Authenticate", "Bearer"))
    body = orjson.dumps(data)
    headers.append(("Content-Length", str(len(body))))
    start_response(REASONS[status], headers)
    return [body]
