from django.contrib.auth import get_user_model
from rest_framework import serializers

from .models import Pet


class OwnerSerializer(serializers.ModelSerializer):
    class Meta:
        model = get_user_model()
        fields = ["id", "username"]


class PetSerializer(serializers.ModelSerializer):
    """A pet as others see it."""

    owner = OwnerSerializer(read_only=True)

    class Meta:
        model = Pet
        fields = [
            "id", "url", "owner", "name", "species", "breed", "secondary_breed", "mixed_breed",
            "sex", "birth_date", "size", "color", "description", "tags", "status",
            "licence_number", "licence_issued_on", "postal_code", "is_public", "created_at",
            "updated_at",
        ]  # fmt: skip


class OwnPetSerializer(PetSerializer):
    """A pet as its owner sends and sees it."""

    microchip = serializers.RegexField("^([0-9]{15})?$", required=False, allow_blank=True)

    class Meta(PetSerializer.Meta):
        fields = [*PetSerializer.Meta.fields, "microchip"]
