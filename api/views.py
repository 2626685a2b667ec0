"""The resources: pets, users, the caller, and the reference data around them."""

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from drf_spectacular.utils import extend_schema, extend_schema_view
from drf_spectacular.views import SpectacularAPIView
from rest_framework import status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, Throttled
from rest_framework.generics import GenericAPIView, get_object_or_404
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from accounts import leaks
from accounts.deletion import delete_account
from accounts.sessions import must_show_again

from . import serializers
from .filters import BreedFilter, FilterBackend, PetFilter, UserFilter
from .models import Pet
from .pagination import SinglePage
from .permissions import (
    HasScope,
    IsOwnerOrStaff,
    IsPublic,
    SessionRequired,
    required_scopes,
)
from .renderers import JSONRenderer
from .scopes import SCOPES

User = get_user_model()
NEWEST_PETS = 5
USERNAME = r"[^/\x00]+"  # a NUL byte is nobody's name, and PostgreSQL fails when asked for one


class StrictQuery:
    """A view that refuses the parameters it does not know, by name and with every method."""

    @property
    def scopes_wanted(self):
        """The scopes that this request needs, for the challenge of a 401."""
        judged = HasScope in self.permission_classes
        return required_scopes(self, self.request.method) if judged else []

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        if hasattr(self, request.method.lower()):  # else it is 405, whatever else is wrong
            FilterBackend().refuse_unknown(request, self)


@extend_schema_view(
    list=extend_schema(summary="List pets"),
    create=extend_schema(summary="Register a pet"),
    retrieve=extend_schema(summary="Show a pet"),
    update=extend_schema(summary="Change a pet, all of it"),
    partial_update=extend_schema(summary="Change a pet"),
    destroy=extend_schema(summary="Remove a pet"),
)
class PetViewSet(StrictQuery, viewsets.ModelViewSet):
    """Pets: the public ones, and your own.

    An owner changes and removes their pets, staff everybody's.  A pet with `is_public` false
    does not exist for others.
    """

    required_scopes = ["pets"]
    permission_classes = [HasScope, IsOwnerOrStaff]
    serializer_class = serializers.PetSerializer
    filterset_class = PetFilter
    lookup_value_regex = "[0-9]{1,18}"  # what fits a 64-bit column; more is not found
    queryset = Pet.objects.with_owner().order_by("-id")

    def get_queryset(self):
        pets = super().get_queryset().visible_to(self.request.user)
        return pets.select_for_update(of=("self",)) if self.action == "destroy" else pets

    def perform_create(self, serializer):
        serializer.save(owner=self.request.user)

    @transaction.atomic
    def destroy(self, request, *args, **kwargs):
        # The pet is locked before its tags are deleted, as where both are changed: each waiting
        # for what the other holds, one of them would be ended by the database.
        return super().destroy(request, *args, **kwargs)

    @extend_schema(summary="Count pets", responses=serializers.StatsSerializer)
    @action(detail=False, pagination_class=None)
    def stats(self, request):
        """Count the pets you can see by species and by status; takes the filters of the list."""
        pets = self.filter_queryset(self.get_queryset()).order_by()
        rows = pets.values_list("species", "status").annotate(count=Count("*"))
        by_species, by_status = {}, {}
        for species, state, count in rows.values_list("species", "status", "count"):
            by_species[species] = by_species.get(species, 0) + count
            by_status[state] = by_status.get(state, 0) + count
        return Response(
            {
                "total": sum(by_species.values()),
                "by_species": dict(sorted(by_species.items())),
                "by_status": dict(sorted(by_status.items())),
            }
        )


@extend_schema_view(
    list=extend_schema(summary="List people and organisations"),
    retrieve=extend_schema(summary="Show a profile"),
)
class UserViewSet(StrictQuery, viewsets.ReadOnlyModelViewSet):
    """Public profiles of people and organisations, with their newest pets."""

    required_scopes = ["users"]
    serializer_class = serializers.UserSerializer
    filterset_class = UserFilter
    lookup_field = "username"
    lookup_value_regex = USERNAME
    queryset = User.objects.filter(is_active=True).defer("password").order_by("id")

    def get_queryset(self):
        pets = (
            Pet.objects.visible_to(self.request.user).filter(owner=OuterRef("pk")).order_by("-id")
        )
        count = pets.order_by().values("owner").annotate(count=Count("*")).values("count")
        # A subquery for each of the newest: five steps down an index, however many there are.
        newest = {f"newest_{n}": Subquery(pets.values("id")[n : n + 1]) for n in range(NEWEST_PETS)}
        return super().get_queryset().annotate(pet_count=Coalesce(Subquery(count), 0), **newest)

    def list(self, request, *args, **kwargs):
        users = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        attach_newest_pets(users, request.user)
        return self.get_paginated_response(self.get_serializer(users, many=True).data)

    def get_object(self):
        user = super().get_object()
        attach_newest_pets([user], self.request.user)
        return user


def attach_newest_pets(users, caller):
    """Set `newest_pets` on users that carry the ids of theirs.  One query for all."""
    ids = {user: [getattr(user, f"newest_{n}") for n in range(NEWEST_PETS)] for user in users}
    summary = serializers.PetSummarySerializer.Meta.fields
    pets = Pet.objects.visible_to(caller).only(*(name for name in summary if name != "url"))
    pets = pets.in_bulk({pk for own in ids.values() for pk in own if pk is not None})
    for user, own in ids.items():
        user.newest_pets = [pets[pk] for pk in own if pk in pets]


class UserPetsView(StrictQuery, GenericAPIView):
    """The pets of one user that the caller may see."""

    required_scopes = ["pets"]
    serializer_class = serializers.PetSerializer
    filterset_class = PetFilter
    queryset = PetViewSet.queryset

    @extend_schema(
        operation_id="users_pets_list",
        summary="List somebody's pets",
        responses=serializer_class(many=True),
    )
    def get(self, request, username):
        owner = get_object_or_404(User.objects.only("id"), username=username, is_active=True)
        pets = self.get_queryset().visible_to(request.user).filter(owner=owner)
        page = self.paginate_queryset(self.filter_queryset(pets))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class MeView(StrictQuery, APIView):
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
        return Response(self.represent(request))

    @extend_schema(
        summary="Change your profile",
        request=serializers.ProfileSerializer,
        responses=serializers.MeSerializer,
    )
    def patch(self, request):
        """Change your own profile."""
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
        delete_account(request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def get_serializer(self, instance=None, **kwargs):
        # The browsable API asks for it too, for its form.
        return serializers.ProfileSerializer(
            self.request.user, context={"request": self.request}, **kwargs
        )

    def represent(self, request):
        me = {"user": request.user, "credential": credential(request)}
        return serializers.MeSerializer(me, context={"request": request}).data


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


class SpeciesView(StrictQuery, GenericAPIView):
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
        page = self.paginate_queryset(self.filter_queryset(species))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class BreedsView(StrictQuery, GenericAPIView):
    """The breeds of the public pets, by species and name."""

    required_scopes = ["pets"]
    serializer_class = serializers.BreedSerializer
    filterset_class = BreedFilter
    queryset = (
        Pet.objects.visible_to(None)
        .exclude(breed="")
        .values("species", "breed")
        .annotate(pet_count=Count("*"))
        .order_by("species", "breed")
    )

    @extend_schema(
        responses=serializer_class(many=True), operation_id="breeds_list", summary="List the breeds"
    )
    def get(self, request):
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class CredentialReportView(StrictQuery, GenericAPIView):
    """Report a credential that somebody else may know.

    Found a key, a token or a client secret of Pawprint's where it should not be, such as in a
    public repository?  Send it here.  If it works, it is ended at once and its owner is told by
    mail.  No credential is needed, and the answer is the same whatever was reported.
    """

    permission_classes = [IsPublic]
    serializer_class = serializers.CredentialReportSerializer
    filter_backends = ()
    pagination_class = None
    is_throttled = True
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


class RootView(StrictQuery, APIView):
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


class SchemaView(StrictQuery, SpectacularAPIView):
    """The OpenAPI 3.1 document of this API, as YAML or JSON."""

    permission_classes = [IsPublic]
    query_parameters = ["lang", "version"]

    def handle_exception(self, exc):
        # Its own renderers write OpenAPI documents, which a problem is not.
        self.request.accepted_renderer = JSONRenderer()
        self.request.accepted_media_type = JSONRenderer.media_type
        return super().handle_exception(exc)


class NothingHereView(APIView):
    """Whatever no other address under /api/ matches; a bad credential is told first."""

    permission_classes = [IsPublic]
    schema = None

    def initial(self, request, *args, **kwargs):
        super().initial(request, *args, **kwargs)
        raise NotFound("There is nothing at this address.")
