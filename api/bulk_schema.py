"""What the OpenAPI document says of many pets in one request."""

from drf_spectacular.drainage import set_override
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiRequest,
    OpenApiResponse,
    extend_schema,
)

from .errors import MEDIA_TYPE, PROBLEMS
from .fields import LARGEST_ID
from .schema import EXAMPLE_HOST
from .serializers import (
    KEPT_PET,
    MOST,
    PET,
    PetChangeSerializer,
    ProblemSerializer,
)

TWO = [PET, {"name": "Mia", "species": "cat"}]
TWO_KEPT = [
    KEPT_PET,
    KEPT_PET
    | {name: "" for name, value in PET.items() if isinstance(value, str)}
    | {"id": 97, "url": f"{EXAMPLE_HOST}/api/v1/pets/97/", "name": "Mia", "species": "cat"}
    | {"sex": "unknown", "birth_date": None, "size": None, "licence_issued_on": None}
    | {"tags": [], "status": "home"},
]
CHANGES = [{"id": 1, "status": "lost"}, {"id": 97, "status": "home", "tags": ["shy"]}]
CHANGED = [
    TWO_KEPT[0] | {"status": "lost", "updated_at": "2026-03-04T05:06:07.890123Z"},
    TWO_KEPT[1] | {"tags": ["shy"], "updated_at": "2026-03-04T05:06:07.890123Z"},
]


def one(component):
    return {"$ref": f"#/components/schemas/{component}"}


def many(component):
    return {"type": "array", "items": one(component), "minItems": 1, "maxItems": MOST}


def problem(status, description, code, detail, *errors):
    """Return a problem of an operation with many pets, with its example, as extend_schema takes
    it."""
    value = {
        "type": f"{EXAMPLE_HOST}/docs/problems/{code}/",
        "title": PROBLEMS[code],
        "status": status,
        "detail": detail,
        "instance": "/api/v1/pets/",
        "errors": [dict(zip(("field", "code", "message"), error, strict=True)) for error in errors],
        "request_id": "0123456789abcdef0123456789abcdef",
    }
    example = OpenApiExample(PROBLEMS[code], value, status_codes=[str(status)], response_only=True)
    return {(status, MEDIA_TYPE): OpenApiResponse(ProblemSerializer, description, [example])}


def not_there(field):
    return problem(
        404,
        "Some are not there, or you cannot see them; each is named.",
        "not_found",
        "Some are not there, or you cannot see them; `errors` names each.",
        (field, "not_found", "There is nothing here that you can see."),
    )


REGISTER = extend_schema(
    request={
        "application/json": OpenApiRequest(
            {"oneOf": [one("PetRequest"), many("PetRequest")]},
            examples=[
                OpenApiExample("A dog", PET, request_only=True),
                OpenApiExample("A dog and a cat", TWO, request_only=True),
            ],
        )
    },
    responses={
        201: OpenApiResponse(
            {"oneOf": [one("Pet"), many("Pet")]},
            examples=[
                OpenApiExample("A dog, as its owner sees it", KEPT_PET, response_only=True),
                OpenApiExample("A dog and a cat, in their order", TWO_KEPT, response_only=True),
            ],
        ),
        **problem(
            400,
            "The request does not hold what it should, or cannot be read. Within a list a field "
            "begins with the place of its pet, from 0.",
            "invalid",
            "1.species: This field is required.",
            ("1.species", "required", "This field is required."),
        ),
    },
)
a_list_of_changes = PetChangeSerializer(many=True, min_length=1, max_length=MOST)
set_override(a_list_of_changes, "many", False)  # its example is the list, not an item of it
CHANGE = extend_schema(
    operation_id="pets_bulk_partial_update",
    summary="Change many pets",
    request=a_list_of_changes,
    examples=[OpenApiExample("Two pets", CHANGES, request_only=True)],
    responses={
        200: OpenApiResponse(
            many("Pet"),
            examples=[OpenApiExample("Two pets, in their order", CHANGED, response_only=True)],
        ),
        **problem(
            400,
            "The request does not hold what it should, or cannot be read. A field begins with the "
            "place of its pet, from 0.",
            "invalid",
            "1.id: Item 0 has the same.",
            ("1.id", "repeated", "Item 0 has the same."),
        ),
        **not_there("1"),
    },
)
REMOVE = extend_schema(
    operation_id="pets_bulk_destroy",
    summary="Remove many pets",
    parameters=[
        OpenApiParameter(
            "ids",
            {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
                "minItems": 1,
                "maxItems": MOST,
                "uniqueItems": True,
            },
            required=True,
            description="The pets to remove, with commas between them.",
            style="form",
            explode=False,
            examples=[OpenApiExample("Two pets", [1, 97])],
        )
    ],
    request=None,
    responses={
        204: None,
        **problem(
            400,
            "The request does not hold what it should. A field ends on the place of its pet, "
            "from 0.",
            "invalid",
            "ids.1: A valid integer is required.",
            ("ids.1", "invalid", "A valid integer is required."),
        ),
        **not_there("ids.1"),
    },
)
