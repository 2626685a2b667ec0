"""The resources: pets, users, the caller, and the reference data around them."""

import json
from datetime import timedelta
from functools import cache, lru_cache
from hashlib import sha256
from threading import local

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema, extend_schema_view
from drf_spectacular.views import SpectacularAPIView
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, Throttled
from rest_framework.generics import GenericAPIView, get_object_or_404
from rest_framework.reverse import reverse
from rest_framework.utils.serializer_helpers import ReturnDict
from rest_framework.views import APIView

from accounts import leaks
from accounts.authentication import InvalidCredential
from accounts.counting import remembered
from accounts.deletion import delete_account
from accounts.prepared import Prepared
from accounts.sessions import must_show_again

from . import compiled, conditional, serializers
from .bulk import Bulk
from .filters import BreedFilter, PetFilter, UserFilter, given_filters
from .manners import Manners
from .models import EVERYBODY, BreedCount, Pet, PetCount
from .pagination import SinglePage
from .permissions import (
    HasScope,
    IsOwnerOrStaff,
    IsPublic,
    SessionRequired,
)
from .renderers import JSONRenderer
from .response import Response
from .scopes import SCOPES
from .selection import Expansion, Selective

User = get_user_model()
NEWEST_PETS = 5
USERNAME = r"[^/\x00]+"  # a NUL byte is nobody's name, and PostgreSQL fails when asked for one


@extend_schema_view(
    list=extend_schema(summary="List pets"),
    create=extend_schema(summary="Register a pet, or many"),
    retrieve=extend_schema(summary="Show a pet"),
    update=extend_schema(summary="Change a pet, all of it"),
    partial_update=extend_schema(summary="Change a pet"),
    destroy=extend_schema(summary="Remove a pet"),
)
class PetViewSet(Bulk, Selective, Manners, viewsets.ModelViewSet):
    """Pets: the public ones, and your own.

    An owner changes and removes their pets, staff everybody's.  A pet with `is_public` false
    does not exist for others.
    """

    required_scopes = ["pets"]
    permission_classes = [HasScope, IsOwnerOrStaff]
    serializer_class = serializers.PetSerializer
    filterset_class = PetFilter
    expandable = {
        "owner": Expansion(
            "users",
            serializers.FullOwnerSerializer(
                read_only=True,
                help_text="An owner whose account is switched off stays in the short form.",
            ),
        )
    }
    lookup_value_regex = "[0-9]{1,18}"  # what fits a 64-bit column; more is not found
    queryset = Pet.objects.with_owner().order_by("-id")
    has_subject = True

    def rows_for(self, caller):
        return self.queryset.visible_to(caller)

    def get_queryset(self):
        pets = no_more_than(self, self.rows_for(self.request.user))
        # What is about to change is locked: nothing comes between reading its version and writing
        # it.  And locked before its tags are deleted, as where both are changed: each waiting for
        # what the other holds, one of them would be ended by the database.
        changing = self.action in {"update", "partial_update", "destroy"}
        return pets.select_for_update(of=("self",)) if changing else pets

    def get_object(self):
        self.subject = super().get_object()
        conditional.check(self.request, self.subject)
        self.prepare([self.subject])
        return self.subject

    def prepare(self, pets):
        if "owner" in self.selection.expand:
            attach_owners(pets, self.request.user)

    def perform_create(self, serializer):
        self.subject = serializer.save(owner=self.request.user)

    @transaction.atomic
    def update(self, request, *args, **kwargs):
        return super().update(request, *args, **kwargs)

    @transaction.atomic
    def destroy(self, request, *args, **kwargs):
        return super().destroy(request, *args, **kwargs)

    @extend_schema(summary="Count pets", responses=serializers.StatsSerializer, filters=True)
    @action(detail=False, pagination_class=None, is_selective=False)
    def stats(self, request):
        """Count the pets you can see by species and by status; takes the filters of the list."""
        rows = kept_counts(self)
        if rows is None:
            rows = counted(self)
        by_species, by_status = {}, {}
        for species, state, count in rows:
            by_species[species] = by_species.get(species, 0) + count
            by_status[state] = by_status.get(state, 0) + count
        return Response(
            {
                "total": sum(by_species.values()),
                "by_species": dict(sorted(by_species.items())),
                "by_status": dict(sorted(by_status.items())),
            }
        )


def kept_counts(view):
    """Return `(species, status, count)` of the pets that the request of `view` narrows its list to,
    None where the database keeps no such counts.  One query of few rows, however many pets."""
    given = given_filters(view)
    if given is None:
        return None
    # The order of what is only counted does not matter.
    filters = tuple(filter_ for filter_ in given[0] if filter_[0] != "ordering")
    if not {name for name, _ in filters} <= {"owner", "species", "status"}:
        return None
    user = view.request.user
    query = counts_query(compiled.kind_of(user), filters)
    return query.raw(caller=user and user.pk, **given[1])


REMEMBERED = 600  # seconds
SETTLED = timedelta(seconds=10)
# When the newest change was, and how many pets there are.
ALL = PetCount.objects.filter(owner=EVERYBODY).order_by().values("owner")
LAST_CHANGE = Prepared(
    Pet.objects.order_by("-updated_at")
    .annotate(pets=Subquery(ALL.annotate(pets=Sum("number")).values("pets")))
    .values_list("updated_at", "pets")[:1]
)


def counted(view):
    """Return the same where the database keeps no such counts: all such pets are gone through, once
    for each change to a pet.

    A pet that is new or otherwise than it was is the newest change; one that is gone, one less.
    But for a while a change may still come that began before the newest: where many write at once,
    as on PostgreSQL.  And an owner may take another name.
    """

    def count():
        pets = view.filter_queryset(view.get_queryset()).order_by()
        rows = pets.values_list("species", "status").annotate(count=Count("*"))
        return list(rows.values_list("species", "status", "count"))

    user, query = view.request.user, view.request.query_params
    last = LAST_CHANGE.rows()
    if not last or timezone.now() - last[0][0] < SETTLED or "owner" in query:
        return count()
    kind = compiled.kind_of(user)
    asked = (kind, user.pk if kind == "person" else None, sorted(query.lists()), *map(str, last[0]))
    digest = sha256(json.dumps(asked).encode()).hexdigest()
    return remembered(f"stats:{digest}", count, REMEMBERED)


@lru_cache(maxsize=100)
def counts_query(kind, filters):
    of_owner = any(name == "owner" for name, _ in filters)
    counts = PetCount.objects.visible_to(compiled.CALLERS[kind], of_owner)
    known = PetFilter({}, counts).filters
    for name, how in filters:
        counts = known[name].filter(counts, compiled.in_gaps(name, how))
    counts = counts.values("species", "status").annotate(count=Sum("number")).filter(count__gt=0)
    return Prepared(counts.values_list("species", "status", "count"))


# What is needed of a pet whatever is shown: whose it is, its version, and where a page may end.
NEEDED = {"id", "owner", "version", "name", "created_at", "updated_at"}


def no_more_than(view, pets):
    """Return `pets`, joined with their owners, without the columns that `view` need not read."""
    fields = view.selection.fields
    # A page may have a form, which is about all of it.
    if fields is None or view.request.accepted_renderer.format == "api":
        return pets
    names = [field.name for field in Pet._meta.concrete_fields if field.name in NEEDED | fields]
    if "owner" in fields:
        return pets.only(*names, "owner__username")
    return pets.select_related(None).only(*names)


def attach_owners(pets, caller):
    """Give `pets` their owners as `caller` sees them at users/.  Two queries for all.

    Who is switched off has no profile: such an owner is left as it is.
    """
    owners = with_pets(UserViewSet.queryset, caller).in_bulk({pet.owner_id for pet in pets})
    attach_newest_pets(owners.values(), caller)
    for pet in pets:
        pet.owner = owners.get(pet.owner_id, pet.owner)


@extend_schema_view(
    list=extend_schema(summary="List people and organisations"),
    retrieve=extend_schema(summary="Show a profile"),
)
class UserViewSet(Selective, Manners, viewsets.ReadOnlyModelViewSet):
    """Public profiles of people and organisations, with their newest pets."""

    required_scopes = ["users"]
    serializer_class = serializers.UserSerializer
    filterset_class = UserFilter
    expandable = {
        "pets": Expansion(
            "pets",
            serializers.PetSerializer(
                source="newest_pets",
                many=True,
                read_only=True,
                help_text="They are the same newest five.",
            ),
        )
    }
    lookup_field = "username"
    lookup_value_regex = USERNAME
    queryset = User.objects.filter(is_active=True).defer("password").order_by("id")
    gathered = {"newest_pets": [f"newest_{n}" for n in range(NEWEST_PETS)]}

    def rows_for(self, caller):
        return with_pets(self.queryset.all(), caller, self.selection.shows)

    def get_queryset(self):
        return self.rows_for(self.request.user)

    def prepare(self, users):
        if self.selection.shows("pets"):
            attach_newest_pets(users, self.request.user, "pets" in self.selection.expand)

    def get_object(self):
        user = super().get_object()
        self.prepare([user])
        return user


def with_pets(users, caller, shows=lambda name: True):
    """Return `users` with their `pet_count` and the ids of the newest, as far as `caller` may see
    them; without one or the other where it `shows` not."""
    visible = Pet.objects.visible_to(caller)
    if shows("pet_count"):
        counts = PetCount.objects.visible_to(caller, of_owner=True).filter(owner=OuterRef("pk"))
        count = counts.values("owner").annotate(count=Sum("number")).values("count")
        users = users.annotate(pet_count=Coalesce(Subquery(count), 0))
    if shows("pets"):
        # A subquery for each of the newest: five steps down an index, however many there are.  A
        # range of one, ordered by it: were it said to be equal, PostgreSQL might look for them
        # among everybody's, from the newest on.
        pets = visible.filter(owner__gte=OuterRef("pk"), owner__lte=OuterRef("pk"))
        pets = pets.order_by("-owner_id", "-id")
        newest = {f"newest_{n}": Subquery(pets.values("id")[n : n + 1]) for n in range(NEWEST_PETS)}
        users = users.annotate(**newest)
    return users


def attach_newest_pets(users, caller, in_full=False):
    """Set `newest_pets` on users that carry the ids of theirs.  One query for all."""
    ids = {user: [getattr(user, f"newest_{n}") for n in range(NEWEST_PETS)] for user in users}
    pets = Pet.objects.visible_to(caller)
    if not in_full:
        summary = serializers.PetSummarySerializer.Meta.fields
        pets = pets.only(*(name for name in summary if name != "url"))
    pets = pets.in_bulk({pk for own in ids.values() for pk in own if pk is not None})
    for user, own in ids.items():
        user.newest_pets = [pets[pk] for pk in own if pk in pets]
        for pet in user.newest_pets:
            pet.owner = user


class UserPetsView(Selective, Manners, GenericAPIView):
    """The pets of one user that the caller may see."""

    required_scopes = ["pets"]
    serializer_class = serializers.PetSerializer
    filterset_class = PetFilter
    expandable = PetViewSet.expandable
    prepare = PetViewSet.prepare
    queryset = PetViewSet.queryset
    rows_for = PetViewSet.rows_for

    def get_queryset(self):
        return no_more_than(self, self.rows_for(self.request.user).filter(**self.within))

    @extend_schema(
        operation_id="users_pets_list",
        summary="List somebody's pets",
        responses=serializer_class(many=True),
    )
    def get(self, request, username):
        owner = get_object_or_404(User.objects.only("id"), username=username, is_active=True)
        self.within = {"owner_id": owner.pk}
        return self.list(request)


class MeView(Manners, APIView):
    """The caller."""

    @property
    def required_scopes(self):
        # Any credential may ask what it is.
        return ["users"] if self.request.method == "PATCH" else []

    @extend_schema(
        operation_id="me_retrieve", summary="Say who is calling", responses=serializers.MeSerializer
    )
    def get(self, request):
        """Say who is calling, with what kind of credential, its scopes and its expiry."""
        self.subject = request.user  # none for an app that acts for itself
        return Response(self.represent(request))

    @extend_schema(
        summary="Change your profile",
        request=serializers.ProfileSerializer,
        responses=serializers.MeSerializer,
    )
    @transaction.atomic
    def patch(self, request):
        """Change your own profile."""
        # Locked: nothing comes between reading its version and writing it, and an account that was
        # deleted in the meantime is not there to be written.
        here = User.objects.select_for_update().defer("password").filter(is_active=True)
        self.subject = here.filter(pk=request.user.pk).first()
        if self.subject is None:
            raise InvalidCredential("The account is no longer there.")
        conditional.check(request, self.subject)
        request.user = self.subject
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(self.represent(request))

    @extend_schema(summary="Delete your account", responses={204: None})
    def delete(self, request):
        """Remove your account with all its pets, keys and apps; only when lately signed in."""
        if request.auth is not None:
            raise SessionRequired
        if must_show_again(request._request):
            raise PermissionDenied(
                "Sign in again first, or use the page /accounts/delete/: who deletes an account "
                "has to have shown lately who they are."
            )
        # Not locked: only the same person could be changing it, and they want all of it gone.
        conditional.check(request, request.user)
        delete_account(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def get_serializer(self, instance=None, **kwargs):
        # The browsable API asks for it too, for its form.
        return serializers.ProfileSerializer(
            self.request.user, context={"request": self.request}, **kwargs
        )

    def represent(self, request):
        me = {"user": request.user, "credential": credential(request)}
        writer = of_thread.writer
        writer._context = {"request": request}
        try:
            return ReturnDict(writer.to_representation(me), serializer=writer)
        finally:
            writer._context = {}


class OfThread(local):
    """What each thread has: a serializer, whose fields take as long to make as to write with."""

    def __init__(self):
        self.writer = serializers.MeSerializer()


of_thread = OfThread()


def credential(request):
    """Describe what `request` was authenticated by."""
    auth = request.auth
    if auth is None:
        expires_at = request._request.session.get_expiry_date()
        scopes = sorted(SCOPES)  # a person may do whatever a credential of theirs could
        return {"kind": "session", "name": "", "scopes": scopes, "expires_at": expires_at}
    if hasattr(auth, "application"):
        kind, name, expires_at = "token", str(auth.application), auth.expires
    else:
        kind, name, expires_at = "key", auth.name, auth.expires_at
    return {
        "kind": kind, "name": name, "scopes": auth.scope.split(), "expires_at": expires_at,
    }  # fmt: skip


class SpeciesView(Selective, Manners, GenericAPIView):
    """The species a pet can be of."""

    permission_classes = [IsPublic]
    serializer_class = serializers.SpeciesSerializer
    pagination_class = SinglePage

    @extend_schema(
        responses=serializer_class(many=True),
        operation_id="species_list",
        summary="List the species",
        filters=False,
    )
    def get(self, request):
        species = [{"code": code, "name": name} for code, name in Pet.Species.choices]
        return self.list_of(species)


class BreedsView(Selective, Manners, GenericAPIView):
    """The breeds of the public pets, by species and name."""

    required_scopes = ["pets"]
    serializer_class = serializers.BreedSerializer
    filterset_class = BreedFilter
    queryset = (
        BreedCount.objects.values("species", "breed")
        .annotate(pet_count=Sum("number"))
        .filter(pet_count__gt=0)
        .order_by("species", "breed")
    )

    @extend_schema(
        responses=serializer_class(many=True), operation_id="breeds_list", summary="List the breeds"
    )
    def get(self, request):
        return self.list(request)

    def rows_for(self, caller):
        return self.queryset.all()


class CredentialReportView(Manners, GenericAPIView):
    """Report a credential that somebody else may know.

    Found a key, a token or a client secret of Pawprint's where it should not be, such as in a
    public repository?  Send it here.  If it works, it is ended at once and its owner is told by
    mail.  No credential is needed, and the answer is the same whatever was reported.
    """

    permission_classes = [IsPublic]
    serializer_class = serializers.CredentialReportSerializer
    filter_backends = ()
    pagination_class = None
    example_field = "credential"

    @extend_schema(
        operation_id="credentials_report",
        summary="Report a leaked credential",
        responses={202: serializers.ReceivedSerializer},
    )
    def post(self, request):
        if wait := leaks.wait_for_report(request.META["REMOTE_ADDR"]):
            raise Throttled(wait, "Too many credentials were reported.")
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        if wait := leaks.wait_for_search(serializer.validated_data["credential"]):
            raise Throttled(wait, "Too many client secrets were reported.")
        leaks.report(**serializer.validated_data)
        return Response(
            {"detail": "Thank you. If it works here, it is ended and its owner told."},
            status=status.HTTP_202_ACCEPTED,
            headers={"Cache-Control": "no-store"},
        )


class RootView(Manners, APIView):
    """The registry's API: start here.

    Call it with an OAuth 2 access token, an API key, or signed in.
    """

    permission_classes = [IsPublic]

    @extend_schema(
        operation_id="root_retrieve",
        summary="List what there is",
        tags=["root"],
        responses={200: {"type": "object", "additionalProperties": {"type": "string"}}},
    )
    def get(self, request):
        names = {
            "pets": "pet-list",
            "users": "user-list",
            "me": "me",
            "species": "species",
            "breeds": "breeds",
            "schema": "schema",
            "report_credential": "credential-report",
        }
        return Response({name: reverse(route, request=request) for name, route in names.items()})


@cache
def document_as(renderer):
    """Return the OpenAPI document as `renderer`, a class, writes it.  It depends on the code alone,
    and takes most of a second to make."""
    return renderer().render(SchemaGenerator().get_schema(public=True), renderer.media_type, {})


def kept(renderer):
    """Return the class of a renderer that writes the document as `renderer` does, once."""
    return type(renderer.__name__, (renderer,), {"render": lambda *args: document_as(renderer)})


class SchemaView(Manners, SpectacularAPIView):
    """The OpenAPI 3.1 document of this API, as YAML or JSON."""

    permission_classes = [IsPublic]
    renderer_classes = [kept(renderer) for renderer in SpectacularAPIView.renderer_classes]

    @extend_schema(exclude=True)
    def get(self, request):
        name = f"pawprint.{request.accepted_renderer.format}"
        return Response(headers={"Content-Disposition": f'inline; filename="{name}"'})

    def handle_exception(self, exc):
        # Its own renderers write OpenAPI documents, which a problem is not.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


class NothingHereView(Manners, APIView):
    """Whatever no other address under /api/ matches; a bad credential is told first."""

    permission_classes = [IsPublic]
    http_method_names = []
    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("There is nothing at this address.")
