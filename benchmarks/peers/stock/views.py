"""Django REST Framework with django-oauth-toolkit, as the tutorials of both have it."""

from django.db.models import Q
from oauth2_provider.contrib.rest_framework import TokenHasResourceScope
from rest_framework import viewsets

from .models import Pet
from .serializers import OwnPetSerializer, PetSerializer


class PetViewSet(viewsets.ModelViewSet):
    permission_classes = [TokenHasResourceScope]
    required_scopes = ["pets"]
    filterset_fields = ["species", "breed", "status", "sex", "size", "postal_code"]

    def get_queryset(self):
        visible = Q(is_public=True) | Q(owner=self.request.user)
        return Pet.objects.filter(visible).select_related("owner")

    def get_serializer_class(self):
        return OwnPetSerializer if self.action == "create" else PetSerializer

    def perform_create(self, serializer):
        serializer.save(owner=self.request.user)
