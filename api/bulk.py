"""Many pets in one request: all of it is done, or nothing.

What is wrong is told by its place in the list, which counts from 0: `3.species` is the species of
the fourth.  In this order: the list and its ids (400), what is not there (404), what is somebody
else's (403), preconditions (412), and what the items say (400).
"""

import contextlib
import re

from django.db import IntegrityError, OperationalError, transaction
from rest_framework import status
from rest_framework.exceptions import ErrorDetail, NotFound, ValidationError
from rest_framework.fields import empty

from . import bulk_schema, compiled, conditional
from .errors import flatten
from .fields import Id
from .models import Pet
from .permissions import NotOwner
from .response import Response
from .serializers import LICENCE_TAKEN, MOST, PetChangeSerializer, PetSerializer

MOST_ERRORS = 100  # then no further item is looked at
TRIES = 3
DEADLOCK = "40P01"  # PostgreSQL's deadlock_detected
NUMBER = re.compile("[0-9]{1,19}")


class Bulk:
    """Mixin for the viewset of pets: POST takes a list, too; PATCH and DELETE take many."""

    @property
    def query_parameters(self):
        return ["ids"] if self.action == "bulk_destroy" else super().query_parameters

    @bulk_schema.REGISTER
    def create(self, request, *args, **kwargs):
        """Register a pet, or a list of up to 500: all of them or, where one cannot be, none.

        They are answered in the order of the list.
        """
        if not isinstance(request.data, list):
            serializer = self.get_serializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            self.perform_create(serializer)
            data = compiled.shown(self, self.subject) or serializer.data
            headers = self.get_success_headers(data)
            return Response(data, status=status.HTTP_201_CREATED, headers=headers)
        pets = register(request.user, request.data)
        return Response(self.get_serializer(pets, many=True).data, status=status.HTTP_201_CREATED)

    @bulk_schema.CHANGE
    def bulk_partial_update(self, request):
        """Change up to 500 pets: all of them or, where one cannot be, none.

        Each item has the `id` of a pet and the fields that are to be other than they are. They are
        answered in the order of the list.
        """
        pets = change(self, request.data)
        return Response(self.get_serializer(pets, many=True).data)

    @bulk_schema.REMOVE
    def bulk_destroy(self, request):
        """Remove up to 500 pets: all of them or, where one cannot be, none.

        In place of the parameter `ids`, a JSON body may list them: ids, or objects with an `id`.
        """
        remove(self, request)
        return Response(status=status.HTTP_204_NO_CONTENT)


def register(owner, items):
    """Register what the `items` say as pets of `owner`; return them in the order of the items."""
    check_list(items)
    values, errors = judge(PetSerializer(), items)
    numbers = {place: (owner.pk, value.get("licence_number")) for place, value in values.items()}
    tell(errors | repeated_numbers(numbers))

    def attempt():
        pets = [Pet(owner=owner, **value) for value in values.values()]
        with saving(pets):
            return Pet.objects.register(pets)

    return done_whole(attempt)


def change(view, items):
    """Change what each of the `items` says of the pet whose id it has; return these pets."""
    check_list(items)
    ids = ids_of(items, lambda place, error: {place: {"id": error}})
    # Judged before the transaction, which makes others wait; told when it is their turn.
    values, errors = judge(PetChangeSerializer(), items)

    def attempt():
        pets = lock(view, ids, str)
        before = [(pet.owner_id, pet.licence_number) for pet in pets]
        for place, value in values.items():
            for name in value:
                setattr(pets[place], name, value[name])
        after = [(pet.owner_id, pet.licence_number) for pet in pets]
        renumbered = {place for place in values if after[place] != before[place]}
        # Of two with one number, the one is told that is to get it.
        keepers_first = sorted(range(len(pets)), key=renumbered.__contains__)
        tell(errors | repeated_numbers({place: after[place] for place in keepers_first}))
        with saving(pets):
            if not {after[place] for place in renumbered}.isdisjoint(before):
                # Pets that exchange their numbers: the database looks at one row after the other.
                given_up = Pet.objects.filter(pk__in=[pets[place].pk for place in renumbered])
                given_up.update(licence_number="")
            # The same fields of all: the rows are locked, and what was not sent is as it was read.
            names = {name for value in values.values() for name in value} - {"id"}
            Pet.objects.overwrite(pets, sorted(names))
        # As they stand now, with the time of it.
        written = Pet.objects.with_owner().in_bulk(ids)
        return [written[pk] for pk in ids]

    return done_whole(attempt)


def remove(view, request):
    """Remove the pets that `?ids=` or the body names."""
    items, parameter = named(request)
    check_list(items)

    def tell_at(place, error):
        if parameter:
            return {f"{parameter}.{place}": error}
        return {place: {"id": error} if isinstance(items[place], dict) else error}

    ids = ids_of(items, tell_at, may_be_bare=True)

    def attempt():
        lock(view, ids, lambda place: f"{parameter}.{place}" if parameter else str(place))
        Pet.objects.filter(pk__in=ids).delete()

    done_whole(attempt)


def named(request):
    """Return the list of what `request` names to be removed, and the parameter that it stands in,
    "" for the body.  It is never all there is: who names nothing has forgotten something."""
    has_body = not isinstance(request.data, dict) or bool(request.data)
    given = request.query_params.getlist("ids")
    if has_body and given:
        raise ValidationError({"ids": "Name the pets here or in the body, not in both."}, "invalid")
    if not has_body and not given:
        message = "Name the pets to remove: as ?ids=1,2,3, or as a JSON list of ids in the body."
        raise ValidationError({"ids": message}, "required")
    if has_body:
        return request.data, ""
    words = ",".join(given).split(",")
    return [int(word) if NUMBER.fullmatch(word) else word for word in words], "ids"


# --- What is asked for, and of which pets --------------------------------------------------------


def check_list(items):
    """Raise ValidationError unless `items` is a list of 1 to MOST, whatever these are."""
    if not isinstance(items, list):
        raise ValidationError(f"Send a JSON list of 1 to {MOST}.", "not_a_list")
    if not items:
        raise ValidationError(f"The list is empty; send 1 to {MOST}.", "empty")
    if len(items) > MOST:
        raise ValidationError(f"Send at most {MOST} at once; these are {len(items)}.", "max_length")


def ids_of(items, tell_at, may_be_bare=False):
    """Return the ids that `items` have or, where they may be bare, are.

    Raises ValidationError for what is none and for one that is there twice; `tell_at(place, error)`
    says where an error stands.
    """
    ids, errors, field = {}, {}, Id()
    for place, item in enumerate(items):
        if not may_be_bare and not isinstance(item, dict):
            errors[place] = [ErrorDetail("Send an object with an id.", "invalid")]
            continue
        try:
            pk = field.run_validation(item.get("id", empty) if isinstance(item, dict) else item)
        except ValidationError as error:
            errors |= tell_at(place, error.detail)
            continue
        if ids.setdefault(pk, place) != place:
            errors |= tell_at(place, [ErrorDetail(f"Item {ids[pk]} has the same.", "repeated")])
    tell(errors)
    return list(ids)


def judge(serializer, items):
    """Return what `serializer` makes of the `items`, and what is wrong with the others, by place.

    Once MOST_ERRORS are wrong, the rest is not looked at.
    """
    values, errors, count = {}, {}, 0
    for place, item in enumerate(items):
        try:
            values[place] = serializer.run_validation(item)
        except ValidationError as error:
            errors[place] = error.detail
            count += sum(1 for _ in flatten(error.get_full_details()))
            if count >= MOST_ERRORS and place + 1 < len(items):
                message = f"What comes after item {place} was not looked at: too much is wrong."
                errors["non_field_errors"] = [ErrorDetail(message, "too_many_errors")]
                break
    return values, errors


def repeated_numbers(numbers):
    """Return what to tell of the places in `numbers`, `{place: (owner, licence number)}`, whose
    number another place has before them."""
    first, errors = {}, {}
    for place, (owner, number) in numbers.items():
        if number and first.setdefault((owner, number), place) != place:
            message = f"Item {first[owner, number]} has the same."
            errors[place] = {"licence_number": [ErrorDetail(message, "unique")]}
    return errors


def tell(errors):
    if errors:
        raise ValidationError(errors)


def lock(view, ids, where):
    """Return the pets of `ids`, in their order; nobody else changes them in this transaction.

    Raises NotFound for those that the caller cannot see, NotOwner for those they may not change,
    and what the preconditions of the request raise.  `where(place)` says where an id stands.
    """
    # In one order, whatever that of the ids: else two would each wait for what the other has.
    pets = view.get_queryset().filter(pk__in=ids).order_by("pk").select_for_update(of=("self",))
    pets = {pet.pk: pet for pet in pets}
    refuse(
        NotFound("Some are not there, or you cannot see them; `errors` names each."),
        "There is nothing here that you can see.",
        [where(place) for place, pk in enumerate(ids) if pk not in pets],
    )
    refuse(
        NotOwner("Some belong to somebody else; `errors` names each."),
        NotOwner.default_detail,
        [where(place) for place, pk in enumerate(ids) if not may_change(view, pets[pk])],
    )
    conditional.check_collection(view.request)
    return [pets[pk] for pk in ids]


def may_change(view, pet):
    try:
        view.check_object_permissions(view.request, pet)
    except NotOwner:
        return False
    return True


def refuse(exception, message, fields):
    """Raise `exception` for the `fields`, if there are any."""
    if fields:
        code = exception.get_codes()
        exception.errors = [{"field": f, "code": code, "message": message} for f in fields]
        raise exception


# --- All or nothing -----------------------------------------------------------------------------


def done_whole(attempt):
    """Return what `attempt` does, in a transaction; again where another writer was in its way.

    That is so where the other had a licence number and has given it up again, and where each
    waited for the other until the database ended this one.
    """
    for _ in range(TRIES - 1):
        try:
            with transaction.atomic():
                return attempt()
        except IntegrityError:
            pass
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != DEADLOCK:
                raise
    with transaction.atomic():
        return attempt()


@contextlib.contextmanager
def saving(pets):
    """Save `pets` within: a licence number that another pet of its owner has is told by place."""
    numbers = [(pet.owner_id, pet.licence_number) for pet in pets]
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "licence" not in str(error):
            raise
        own = {pet.pk for pet in pets}
        # Said again and unordered, as in imports.py: so that the index of licences will do.
        licensed = Pet.objects.exclude(licence_number="").order_by()
        others = licensed.filter(
            owner__in={owner for owner, _ in numbers},
            licence_number__in={number for _, number in numbers},
        )
        taken = {
            (owner, number)
            for pk, owner, number in others.values_list("pk", "owner", "licence_number")
            if pk not in own
        }
        detail = {"licence_number": [ErrorDetail(LICENCE_TAKEN, "unique")]}
        tell({place: detail for place, pair in enumerate(numbers) if pair in taken})
        raise  # whoever had it has given it up since
