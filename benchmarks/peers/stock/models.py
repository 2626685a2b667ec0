from django.conf import settings
from django.db import models


class Pet(models.Model):
    class Species(models.TextChoices):
        DOG = "dog"
        CAT = "cat"
        RABBIT = "rabbit"
        BIRD = "bird"
        DUCK = "duck"
        GOOSE = "goose"
        HAMSTER = "hamster"
        GUINEA_PIG = "guinea_pig"
        HORSE = "horse"
        GOAT = "goat"
        PIG = "pig"
        REPTILE = "reptile"
        FISH = "fish"
        OTHER = "other"

    class Sex(models.TextChoices):
        FEMALE = "female"
        MALE = "male"
        UNKNOWN = "unknown"

    class Size(models.TextChoices):
        SMALL = "small"
        MEDIUM = "medium"
        LARGE = "large"
        XLARGE = "xlarge"

    class Status(models.TextChoices):
        HOME = "home"
        LOST = "lost"
        FOUND = "found"
        ADOPTABLE = "adoptable"
        PENDING = "pending"
        ADOPTED = "adopted"
        DECEASED = "deceased"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="pets")
    name = models.CharField(max_length=100, blank=True)
    species = models.CharField(max_length=16, choices=Species)
    breed = models.CharField(max_length=100, blank=True)
    secondary_breed = models.CharField(max_length=100, blank=True)
    mixed_breed = models.BooleanField(default=False)
    sex = models.CharField(max_length=8, choices=Sex, default=Sex.UNKNOWN)
    birth_date = models.DateField(null=True, blank=True)
    size = models.CharField(max_length=8, choices=Size, null=True, blank=True)  # noqa: DJ001
    color = models.CharField(max_length=100, blank=True)
    description = models.TextField(max_length=5000, blank=True)
    tags = models.JSONField(default=list, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.HOME)
    licence_number = models.CharField(max_length=50, blank=True)
    licence_issued_on = models.DateField(null=True, blank=True)
    postal_code = models.CharField(max_length=16, blank=True)
    microchip = models.CharField(max_length=15, blank=True)
    is_public = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        # What decides who sees a pet: each page counts all that may be seen.
        indexes = [models.Index(fields=["owner", "is_public"])]

    def __str__(self):
        return self.name
