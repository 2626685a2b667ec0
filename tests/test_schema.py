"""The published schema: what is committed, valid OpenAPI 3.1, and true about credentials."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from django.test import Client
from drf_spectacular.validation import validate_schema

from api.errors import MEDIA_TYPE
from api.models import Pet
from api.scopes import SCOPES

from .conftest import make_key, with_key
from .test_access import ROWS

COMMITTED = Path(__file__).with_name("schema.yml")
SCHEMA = "/api/v1/schema/"
METHODS = {"get", "post", "put", "patch", "delete"}
SCHEMES = ["oauth2", "apiKey", "apiKeyBearer", "apiKeyBasic", "session"]


@pytest.fixture(scope="module")
def schema():
    """The document as a caller gets it."""
    return Client().get(SCHEMA, {"format": "json"}).json()


def operations(schema):
    """Return `{(method, path): operation}`, with the answers that are told once in each."""
    return {
        (method.upper(), path): operation
        | {"responses": {s: resolved(schema, a) for s, a in operation["responses"].items()}}
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def resolved(schema, described):
    """Return what a `$ref` means."""
    if "$ref" not in described:
        return described
    _, _, kind, name = described["$ref"].split("/")
    return schema["components"][kind][name]


def parameters_of(schema, method, path):
    """Return `{name: parameter}` of what may be sent with an operation, headers left out."""
    parameters = operation_of(schema, method, path).get("parameters", [])
    found = [resolved(schema, parameter) for parameter in parameters]
    return {one["name"]: one for one in found if one["in"] != "header"}


def operation_of(schema, method, path):
    """Return the operation of a row of the access table."""
    path = path.replace("{rex}", "{id}").replace("{shadow}", "{id}").replace("alice", "{username}")
    return operations(schema)[method, path]


# --- The document ------------------------------------------------------------------------------


def test_the_published_schema_is_the_one_that_is_committed(anonymous):
    published = anonymous.get(SCHEMA).content.decode()
    committed = COMMITTED.read_text() if COMMITTED.exists() else ""
    assert yaml.safe_load(published) == yaml.safe_load(committed), (
        "The API's description has changed.  Look at the difference; `make schema` accepts it as "
        "tests/schema.yml, and CHANGELOG.md tells callers."
    )
    assert published == committed, "Only the spelling has changed; `make schema` accepts it."


def test_it_is_openapi_3_1_and_valid(schema):
    assert schema["openapi"].startswith("3.1.")
    validate_schema(schema)


def test_it_is_the_same_as_yaml_and_as_json(anonymous, schema):
    for query, headers, media_type in (
        ({}, {}, "application/vnd.oai.openapi"),
        ({"format": "yaml"}, {}, "application/vnd.oai.openapi"),
        ({}, {"Accept": "application/yaml"}, "application/yaml"),
        ({}, {"Accept": "application/json"}, "application/json"),
        ({"format": "json"}, {}, "application/vnd.oai.openapi+json"),
    ):
        answer = anonymous.get(SCHEMA, query, headers=headers)
        assert answer.status_code == 200
        assert answer["Content-Type"].partition(";")[0] == media_type
        assert yaml.safe_load(answer.content) == schema


def test_every_schema_in_it_is_one(schema):
    """By a validator that drf-spectacular has no part in."""
    for name in schema["components"]["schemas"]:
        jsonschema_rs.validator_for(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$ref": f"#/components/schemas/{name}",
                "components": schema["components"],
            }
        )


# --- Credentials -------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "scope"), ROWS)
def test_every_operation_names_the_scope_that_the_access_table_asks_for(
    schema, method, path, scope
):
    if "nothing" in path or "schema" in path:
        return  # neither is an operation of the API
    security = operation_of(schema, method, path)["security"]
    needs = [] if scope in {"any", "public"} else [scope]
    named = [scheme for requirement in security for scheme in requirement]
    assert named == SCHEMES
    for requirement in security:
        for scheme, scopes in requirement.items():
            assert scopes == ([] if scheme == "session" else needs)
    # An empty requirement says that no credential will do, too.
    assert ({} in security) == (scope == "public")


def test_the_scopes_are_those_of_the_list_with_their_sentences(schema):
    schemes = schema["components"]["securitySchemes"]
    assert set(schemes) == set(SCHEMES)
    for flow in schemes["oauth2"]["flows"].values():
        assert flow["scopes"] == SCOPES
    assert set(schemes["oauth2"]["flows"]) == {"authorizationCode", "clientCredentials"}


# --- Answers -----------------------------------------------------------------------------------


def test_every_operation_tells_its_problems_in_the_one_shape(schema):
    for (method, path), operation in operations(schema).items():
        answers = operation["responses"]
        problems = {status: answer for status, answer in answers.items() if status >= "400"}
        must = {"400", "401", "406", "413", "500"}
        must |= {"415"} if method in {"POST", "PUT", "PATCH"} else set()
        must |= {"409", "422"} if method == "POST" else set()
        must |= {"412", "428"} if method in {"PUT", "PATCH", "DELETE"} else set()
        must |= {"429"}
        must |= {"404"} if "{" in path else set()
        must |= {"403"} if {} not in operation["security"] else set()
        assert must <= problems.keys(), f"{method} {path} says nothing of {must - problems.keys()}"
        for status, answer in problems.items():
            assert set(answer["content"]) == {MEDIA_TYPE}, (method, path, status)
            reference = answer["content"][MEDIA_TYPE]["schema"]["$ref"]
            assert reference == "#/components/schemas/Problem"
            assert answer["description"]
        for status, answer in answers.items():
            assert "X-Request-ID" in answer["headers"], (method, path, status)
        for status in {"401", "403"} & answers.keys():
            assert "WWW-Authenticate" in answers[status]["headers"]


# What every answer of a web server may have, and every client library knows.
COMMON = {
    *("Allow", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Type", "Date"),
    *("Vary", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Referrer-Policy"),
    *("X-Content-Type-Options", "X-Frame-Options"),
}


@pytest.mark.parametrize(("method", "path", "scope"), ROWS)
def test_every_header_of_every_answer_is_told(
    schema, rex, secret_cat, alice_with_key, anonymous, method, path, scope
):
    if "nothing" in path or "schema" in path:
        return
    address = path.format(rex=rex.pk, shadow=secret_cat.pk)
    answers = operation_of(schema, method, path)["responses"]
    headers = {"If-None-Match": "*"} if method == "GET" else {}
    for client, extra in ((anonymous, {}), (alice_with_key, {}), (alice_with_key, headers)):
        body = {"species": "dog"} if method in {"POST", "PUT", "PATCH"} else ""
        body = json.dumps(body) if body else ""
        answer = client.generic(method, address, body, headers=extra)
        told = {name.lower() for name in answers[str(answer.status_code)].get("headers", {})}
        sent = {name.lower() for name in answer.headers}
        assert sent - {name.lower() for name in COMMON} <= told, (method, path, answer.status_code)


def test_whatever_is_told_by_reference_is_there(schema):
    for name in re.findall(r'"\$ref": "#/components/([^"]+)"', json.dumps(schema)):
        kind, _, name = name.partition("/")
        assert name in schema["components"][kind]


def test_every_header_that_is_told_of_is_told_of_some_answer(schema):
    """And every parameter and answer of some operation: nothing is described and not there."""
    text = json.dumps([schema["paths"], schema["components"]["responses"]])
    for kind in ("headers", "parameters", "responses"):
        for name in schema["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text, name


def test_every_operation_has_a_name_and_a_description(schema):
    names = [operation["operationId"] for operation in operations(schema).values()]
    assert len(set(names)) == len(names)
    for key, operation in operations(schema).items():
        assert operation["description"], key
        assert "tags" in operation or key[1] == "/api/v1/", key


def test_what_leads_to_a_new_pet_is_told(schema):
    created = operation_of(schema, "POST", "/api/v1/pets/")["responses"]["201"]
    assert "Location" in created["headers"]


def test_no_description_speaks_of_the_inside(schema):
    """A serializer's docstring is for those who read the code."""
    words = ("serializer", "queryset", "refused by name", "ModelViewSet")
    for name, component in schema["components"]["schemas"].items():
        for word in words:
            assert word not in component.get("description", ""), name


def test_the_parameters_of_the_pet_list_are_all_of_them_and_told(schema):
    parameters = parameters_of(schema, "GET", "/api/v1/pets/")
    assert parameters.keys() == {
        *("species", "breed", "status", "sex", "size", "owner", "tag", "postal_code"),
        *("born_before", "born_after", "updated_since", "q", "ordering", "cursor", "page_size"),
        *("expand", "fields", "format"),
    }
    for name, parameter in parameters.items():
        assert parameter["description"], name


def test_one_pet_takes_no_parameters_but_its_id(schema):
    one = "/api/v1/pets/{rex}/"
    assert parameters_of(schema, "GET", one).keys() == {"id", "fields", "expand"}
    for method in ("PUT", "PATCH", "DELETE"):
        assert parameters_of(schema, method, one).keys() == {"id"}


# --- Real answers against it -------------------------------------------------------------------


@pytest.fixture
def fits(schema):
    """Assert that an answer is what the schema says of its operation and status."""

    def fits(answer, method, path):
        described = operation_of(schema, method, path)["responses"][str(answer.status_code)]
        media_type = answer["Content-Type"].partition(";")[0]
        validator = jsonschema_rs.validator_for(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                **described["content"][media_type]["schema"],
                "components": schema["components"],
            },
            validate_formats=True,
        )
        errors = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(
            json.loads(answer.content)
        )]  # fmt: skip
        assert not errors
        return True

    return fits


@pytest.mark.parametrize(("method", "path", "scope"), ROWS)
def test_every_answer_to_every_caller_is_what_the_schema_says(
    fits, rex, secret_cat, alice_with_key, bob_with_key, app_with_token, sam_with_key, anonymous,
    alice_in_browser, alice, method, path, scope,
):  # fmt: skip
    """Also to one who is told less: a key without the scope `email`."""
    if method != "GET" or "nothing" in path or "schema" in path:
        return  # nothing to read
    address = path.format(rex=rex.pk, shadow=secret_cat.pk)
    told_less = with_key(make_key(alice, "pets:read")[1])
    for client in (
        anonymous, app_with_token, bob_with_key, alice_with_key, alice_in_browser, sam_with_key,
        told_less,
    ):  # fmt: skip
        assert fits(client.get(address), method, path)
        assert fits(client.get(address, {"format": "xml"}), method, path)


def test_what_is_written_answers_what_the_schema_says(fits, alice_with_key, rex):
    json_type = "application/json"
    one = "/api/v1/pets/{rex}/"
    address = f"/api/v1/pets/{rex.pk}/"
    assert fits(alice_with_key.post("/api/v1/pets/", {"species": "dog"}), "POST", "/api/v1/pets/")
    many = alice_with_key.post("/api/v1/pets/", [{"species": "dog"}] * 2)
    assert fits(many, "POST", "/api/v1/pets/")
    changes = [{"id": pet["id"], "size": None} for pet in many.json()]
    assert fits(alice_with_key.patch("/api/v1/pets/", changes), "PATCH", "/api/v1/pets/")
    for body in ([{"id": 0}], [{"id": 987654321}]):
        assert fits(alice_with_key.patch("/api/v1/pets/", body), "PATCH", "/api/v1/pets/")
    assert fits(alice_with_key.put(address, {"species": "dog"}, json_type), "PUT", one)
    assert fits(alice_with_key.patch(address, {"size": None}, json_type), "PATCH", one)
    assert fits(
        alice_with_key.patch("/api/v1/me/", {"bio": "x"}, json_type), "PATCH", "/api/v1/me/"
    )


def test_a_body_that_the_schema_forbids_is_refused(schema, alice_with_key):
    """The schema and the serializer know the same limits."""
    component = schema["components"]["schemas"]["PetRequest"]
    assert component["additionalProperties"] is False
    for name, rule in component["properties"].items():
        if "maxLength" in rule:
            body = {"species": "dog", name: "1" * (rule["maxLength"] + 1)}
            assert alice_with_key.post("/api/v1/pets/", body).status_code == 400, name
    assert component["required"] == ["species"]


def test_what_is_always_there_is_required_of_an_answer(schema):
    """So that generated clients need not ask whether a pet has a name."""
    component = schema["components"]["schemas"]["Pet"]
    assert set(component["properties"]) - set(component["required"]) == {"microchip"}


def test_every_choice_is_listed(schema):
    schemas = schema["components"]["schemas"]
    assert schemas["SpeciesCode"]["enum"] == Pet.Species.values
    assert schemas["Status"]["enum"] == Pet.Status.values
    assert schemas["Sex"]["enum"] == Pet.Sex.values
    size = schemas["Pet"]["properties"]["size"]
    assert "BlankEnum" not in json.dumps(size), "a size is one of them or null, never empty"


def test_every_example_is_what_its_schema_says(schema):
    """An example that could not be sent, or would never come, misleads whoever copies it."""
    found = 0
    for (method, path), operation in operations(schema).items():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for content in body.get("content", {}).values():
                validator = jsonschema_rs.validator_for(
                    {
                        "$schema": "https://json-schema.org/draft/2020-12/schema",
                        **content["schema"],
                        "components": schema["components"],
                    },
                    validate_formats=True,
                )
                for name, example in content.get("examples", {}).items():
                    errors = [error.message for error in validator.iter_errors(example["value"])]
                    assert not errors, (method, path, name)
                    found += 1
    assert found


def test_the_examples_of_a_pet_and_of_a_list_can_be_sent(schema, alice_with_key):
    content = operation_of(schema, "POST", "/api/v1/pets/")["requestBody"]["content"]
    for example in content["application/json"]["examples"].values():
        assert alice_with_key.post("/api/v1/pets/", example["value"]).status_code == 201
        Pet.objects.all().delete()


def test_the_schema_does_not_depend_on_where_it_was_made(schema):
    """Else tests/schema.yml would differ from machine to machine."""
    assert "127.0.0.1" not in json.dumps(schema)
