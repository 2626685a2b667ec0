"""How users and pets are written and read: the one description of the data."""

import contextlib
import datetime
from functools import cache

from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.utils import (
    OpenApiExample,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.reverse import reverse
from rest_framework.utils import html
from rest_framework.utils.serializer_helpers import BindingDict

from accounts import keys

from .accepting import accepted
from .fields import Choice, Id, TagField, TagList, Text, Truth
from .models import Pet, insertion

User = get_user_model()
FORM_FIELDS = {"csrfmiddlewaretoken", "idempotency_key"}
MAX_TAGS = 20
MAX_NAMED = 20  # unknown fields that a problem names
MOST = 500  # pets in one request
LICENCE_TAKEN = "This owner has a pet with this licence number already."


# Finds its fields out once for its class: to look at the model costs ten times what they do.
#
# Each serializer has fields of its own, as always; but what these hold (validators, choices, a
# style) they share, so it is not to be changed in place.  (A docstring would be published as that
# of every serializer that has none.)
class KeepsFields(serializers.Serializer):
    def __init__(self, instance=None, data=empty, **kwargs):
        if "context" not in kwargs or kwargs.keys() - {"context", "partial"}:
            super().__init__(instance, data, **kwargs)
            return
        # For a request.  DRF counts each that it makes in the class of all fields, and Python then
        # forgets what it knows of them by heart.
        vars(self).update(blank(type(self)))
        self.instance, self._context = instance, kwargs["context"]
        self.partial = kwargs.get("partial", False)
        if data is not empty:
            self.initial_data = data

    @cached_property
    def fields(self):
        fields = BindingDict(self)
        fields.fields = {name: twin(field, self) for name, field in fields_of(type(self)).items()}
        return fields


@cache
def blank(serializer_class):
    """Return what a serializer holds before anything is given to it."""
    made = object.__new__(serializer_class)
    super(KeepsFields, made).__init__()
    return vars(made)


@cache
def fields_of(serializer_class):
    """Return the fields of `serializer_class`, `{name: field}`, to be copied."""
    fields = dict(super(KeepsFields, serializer_class()).fields)
    for field in fields.values():
        field.validators  # noqa: B018  (kept at the first look)
    return fields


@cache
def has_read_only_defaults(serializer_class):
    return any(
        field.read_only and field.default is not empty
        for field in fields_of(serializer_class).values()
    )


def twin(field, parent):
    """Return a copy of a bound field for another `parent`."""
    copied = object.__new__(type(field))
    state = vars(copied)
    state.update(vars(field), parent=parent)
    state.pop("fields", None)  # those of a serializer within are bound to the other one
    if "child" in state:
        copied.child = twin(copied.child, copied)
    return copied


class Strict(KeepsFields):
    """Unknown fields are refused by name, together with whatever else is wrong; read-only ones are
    ignored, so that what was read can be sent back."""

    def _read_only_defaults(self):
        return super()._read_only_defaults() if has_read_only_defaults(type(self)) else {}

    def to_internal_value(self, data):
        if "fields" not in vars(self):  # else somebody may have changed them, of this one alone
            try:
                return accepted(self, data) or self.judged(data)
            finally:
                vars(self).pop("fields", None)
        return self.judged(data)

    def judged(self, data):
        """Return what DRF's fields make of `data`, or raise what is wrong with it."""
        problems = self.unknown(data) if isinstance(data, dict) else {}  # a QueryDict is one too
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**problems, **error.detail}) from None
        if problems:
            raise serializers.ValidationError(problems)
        return value

    def unknown(self, data):
        if data.keys() <= self.fields.keys():
            return {}
        known = self.fields.keys() | (FORM_FIELDS if html.is_html_input(data) else ())
        unknown = sorted(str(name) for name in data if name not in known)
        error = serializers.ErrorDetail("Unknown field.", code="unknown_field")
        return {name: [error] for name in unknown[:MAX_NAMED]}


class StrictSerializer(Strict, serializers.ModelSerializer):
    """Strict also about values: each is of its type, and nothing is taken for something else."""

    serializer_choice_field = Choice
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.BooleanField: Truth,
        models.CharField: Text,
        models.TextField: Text,
    }

    def update(self, instance, validated_data):
        """Write the fields that were sent and nothing else."""
        for name, value in validated_data.items():
            setattr(instance, name, value)
        stamps = {"updated_at"} & {field.name for field in instance._meta.concrete_fields}
        instance.save(update_fields=[*validated_data, *stamps])
        return instance


class PrivateFields(serializers.Serializer):
    """Mixin: of what has an owner, `private_fields` are shown to the owner and staff alone."""

    private_fields = ()

    def to_representation(self, instance):
        data = super().to_representation(instance)
        if not self.may_see_all(instance):
            for name in self.private_fields:
                data.pop(name, None)
        return data

    def may_see_all(self, instance):
        request = self.context.get("request")
        if request is None:  # no caller: the command line, which is the operator's
            return True
        user = request.user
        return user is not None and (user.pk == instance.owner_id or user.is_staff)


class OwnerSerializer(KeepsFields, serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ["id", "username"]
        read_only_fields = fields


PET = {
    "name": "Rex",
    "species": "dog",
    "breed": "Retriever, Labrador",
    "secondary_breed": "",
    "mixed_breed": False,
    "sex": "male",
    "birth_date": "2021-05-04",
    "size": "large",
    "color": "black",
    "description": "Afraid of thunder, fond of everything else.",
    "tags": ["friendly", "vaccinated"],
    "status": "home",
    "licence_number": "S107948",
    "licence_issued_on": "2025-12-18",
    "postal_code": "98117",
    "microchip": "985112345678903",
    "is_public": True,
}
KEPT_PET = {
    "id": 1,
    "url": "https://pets.example.org/api/v1/pets/1/",
    "owner": {"id": 1, "username": "alice"},
    **PET,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:05.678901Z",
}


@extend_schema_serializer(
    examples=[
        OpenApiExample("A dog", PET, request_only=True),
        OpenApiExample("A dog, as its owner sees it", KEPT_PET, response_only=True),
    ]
)
class PetSerializer(PrivateFields, StrictSerializer):
    """An animal and what is known of it.  Text that is not known is empty, never null."""

    private_fields = ["microchip"]

    url = serializers.HyperlinkedIdentityField(view_name="pet-detail")
    tags = TagList(child=TagField(max_length=40), max_length=MAX_TAGS, required=False)
    owner = OwnerSerializer(read_only=True)

    class Meta:
        model = Pet
        fields = [
            "id", "url", "owner", "name", "species", "breed", "secondary_breed", "mixed_breed",
            "sex", "birth_date", "size", "color", "description", "tags", "status",
            "licence_number", "licence_issued_on", "postal_code", "microchip", "is_public",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = ["id", "created_at", "updated_at"]
        extra_kwargs = {
            # Not known is null here, in one way only.
            "size": {"allow_blank": False},
            "microchip": {
                "help_text": "15 digits (ISO 11784). Only the owner and staff get this field.",
            },
        }
        # The database keeps licence numbers apart; asking it first would cost a query and a race.
        validators = []

    def validate_microchip(self, value):
        if value and not (len(value) == 15 and value.isascii() and value.isdigit()):
            raise serializers.ValidationError("A microchip number has 15 digits (ISO 11784).")
        return value

    def validate_birth_date(self, value):
        return not_in_the_future(value)

    def validate_licence_issued_on(self, value):
        return not_in_the_future(value)

    def validate_tags(self, value):
        return list(dict.fromkeys(value))

    def create(self, validated_data):
        pet = insertion.make(**validated_data)
        # A statement alone needs no transaction, unless one is under way that is to survive it.
        is_alone = not pet.tags and not connection.in_atomic_block
        with telling_licences(), contextlib.nullcontext() if is_alone else transaction.atomic():
            Pet.objects.register([pet])
        return pet

    def update(self, instance, validated_data):
        with telling_licences():
            return super().update(instance, validated_data)


class PetChangeSerializer(PetSerializer):
    """One of many pets that change: its id, and the fields that are to be other than they are."""

    id = Id(help_text="Which pet.")

    class Meta(PetSerializer.Meta):
        read_only_fields = ["created_at", "updated_at"]
        extra_kwargs = PetSerializer.Meta.extra_kwargs | {"species": {"required": False}}


def not_in_the_future(day):
    # A day of grace: it is already tomorrow somewhere.
    if day and day > timezone.now().date() + datetime.timedelta(days=1):
        raise serializers.ValidationError("The date lies in the future.")
    return day


@contextlib.contextmanager
def telling_licences():
    """Save within: a licence number that the owner has already is a problem of its field."""
    try:
        yield
    except IntegrityError as error:
        if "licence" not in str(error):
            raise
        raise serializers.ValidationError(
            {"licence_number": LICENCE_TAKEN}, code="unique"
        ) from error


class PetSummarySerializer(KeepsFields, serializers.ModelSerializer):
    """A pet in a few words, as a profile shows it."""

    url = serializers.HyperlinkedIdentityField(view_name="pet-detail")

    class Meta:
        model = Pet
        fields = ["id", "url", "name", "species", "breed", "status"]


class UserSerializer(KeepsFields, serializers.ModelSerializer):
    """A public profile."""

    url = serializers.HyperlinkedIdentityField(view_name="user-detail", lookup_field="username")
    pet_count = serializers.IntegerField(read_only=True, help_text="How many you may see.")
    pets = PetSummarySerializer(
        source="newest_pets", many=True, read_only=True, help_text="The newest five of them."
    )
    pets_url = serializers.HyperlinkedIdentityField(
        view_name="user-pets", lookup_field="username", help_text="All of them, in pages."
    )

    class Meta:
        model = User
        fields = [
            "id", "url", "username", "display_name", "bio", "is_organization", "date_joined",
            "pet_count", "pets", "pets_url",
        ]  # fmt: skip
        read_only_fields = fields


class FullOwnerSerializer(UserSerializer):
    """An owner as their profile.  Who is switched off has none, and is named as ever."""

    def to_representation(self, owner):
        if not hasattr(owner, "newest_pets"):
            return OwnerSerializer(context=self.context).to_representation(owner)
        # Many pets of a list have the same one: written once for all of them.
        if not hasattr(owner, "in_full"):
            owner.in_full = super().to_representation(owner)
        return owner.in_full


class ProfileSerializer(StrictSerializer):
    """One's own profile: the public one and the e-mail address."""

    pets_url = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = [
            "id", "username", "display_name", "bio", "is_organization", "date_joined", "email",
            "pets_url",
        ]  # fmt: skip
        read_only_fields = ["id", "username", "is_organization", "date_joined", "email"]

    @extend_schema_field(serializers.URLField)
    def get_pets_url(self, user):
        return reverse(
            "user-pets", kwargs={"username": user.username}, request=self.context["request"]
        )

    def to_representation(self, user):
        data = super().to_representation(user)
        auth = self.context["request"].auth
        # Signed in is oneself; an app or a script needs to have been given the address.
        if auth is not None and not auth.allow_scopes(["email"]):
            del data["email"]
        return data


class CredentialSerializer(serializers.Serializer):
    """What the request was authenticated by."""

    kind = serializers.ChoiceField(choices=["session", "token", "key"])
    name = serializers.CharField(help_text="The app's or the key's name; empty for a session.")
    scopes = serializers.ListField(
        child=serializers.CharField(), help_text="What it may do; for a session, all there is."
    )
    expires_at = serializers.DateTimeField(allow_null=True)


class MeSerializer(serializers.Serializer):
    """Who is calling, and with what."""

    user = ProfileSerializer(allow_null=True, help_text="Null for an app that acts for itself.")
    credential = CredentialSerializer()


class SpeciesSerializer(serializers.Serializer):
    code = serializers.ChoiceField(choices=Pet.Species.choices)
    name = serializers.CharField()


class BreedSerializer(serializers.Serializer):
    species = serializers.ChoiceField(choices=Pet.Species.choices)
    name = serializers.CharField(source="breed")
    pet_count = serializers.IntegerField(help_text="How many public pets are of it.")


class StatsSerializer(serializers.Serializer):
    """How many pets there are that the caller may see."""

    total = serializers.IntegerField()
    by_species = serializers.DictField(child=serializers.IntegerField())
    by_status = serializers.DictField(child=serializers.IntegerField())


@extend_schema_serializer(
    component_name="CredentialReport",
    examples=[
        OpenApiExample(
            "A key in a public repository",
            {
                # Without the right checksum, so that no scanner takes it for a key.
                "credential": f"paw_EXAMPLE00000_{'0' * 49}",
                "url": "https://github.com/somebody/something/blob/main/.env#L3",
            },
            request_only=True,
        )
    ],
)
class CredentialReportSerializer(Strict):
    """A credential that somebody found where it should not be."""

    credential = Text(
        max_length=1000,
        write_only=True,
        style={"input_type": "password"},
        help_text="All of it: an API key, an access or refresh token, a client secret, or a "
        "registration access token.",
    )
    url = serializers.URLField(
        max_length=2000,
        required=False,
        allow_blank=True,
        label="Address",
        help_text="Where it was found.",
    )

    def get_initial(self):
        """What a form that was refused begins with: never the secret, wherever it was typed."""
        typed = super().get_initial()
        return {"credential": "", "url": keys.hide(str(typed.get("url", "")))}


@extend_schema_serializer(component_name="CredentialReportReceived")
class ReceivedSerializer(serializers.Serializer):
    """A report was taken; whatever was in it, this is all that is answered."""

    detail = serializers.CharField()


class ProblemDetailSerializer(serializers.Serializer):
    field = serializers.CharField(help_text="The field or parameter; empty for the whole.")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemSerializer(serializers.Serializer):
    """An error (RFC 9457)."""

    type = serializers.URLField(help_text="A page about this kind of problem.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField(help_text="The path that was asked for.")
    errors = ProblemDetailSerializer(many=True)
    request_id = serializers.CharField(help_text="Name it when you ask for help.")
