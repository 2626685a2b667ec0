"""What the registry keeps: pets, and the tags they are found by."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Length, Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from accounts.insertion import PreparedInsert
from accounts.models import Versioned, VersionedQuerySet, new_version


class PetQuerySet(VersionedQuerySet):
    def visible_to(self, user):
        """Return the pets that `user` may see: the only place that knows.

        Staff see all, people see the public ones and their own, everybody else (`user` None or
        anonymous, as for an app that acts for itself) sees the public ones.
        """
        if user is None or not user.is_authenticated:
            return self.filter(is_public=True)
        if user.is_staff:
            return self
        return self.filter(Q(is_public=True) | Q(owner_id=user.pk))

    def with_owner(self):
        """Return the pets joined with what is shown of their owners: no password is read."""
        own = [field.name for field in self.model._meta.concrete_fields]
        return self.select_related("owner").only(*own, "owner__username")

    def register(self, pets):
        """Insert `pets` with their tags in as few statements as there are batches of them."""
        if len(pets) == 1:
            insertion.insert(pets[0])
        else:
            self.bulk_create(pets)
        tags = [PetTag(pet=pet, tag=tag) for pet in pets for tag in pet.tags]
        if tags:
            PetTag.objects.bulk_create(tags)
        return pets

    def amend(self, pets, names):
        """Write the fields `names` of `pets`, which exist, with the index of their tags."""
        written = self.filter(pk__in=[pet.pk for pet in pets])
        self.bulk_update(pets, names)
        written.update(updated_at=timezone.now())  # one value for all: bulk_update would name each
        if "tags" in names:
            self.index_tags(pets)

    def overwrite(self, pets, names):
        """Write the fields `names` of `pets`, as amend does, in a tenth of the time.

        They must be locked: one that is gone would be there again.  What `pets` say of when they
        were created does not hold afterwards.
        """
        version = new_version()
        for pet in pets:
            pet.version = version
        fields = [*names, "updated_at", "version"]
        # bulk_update writes a condition for each field of each row, and all are tried in turn.
        self.bulk_create(pets, update_conflicts=True, unique_fields=["id"], update_fields=fields)
        if "tags" in names:
            self.index_tags(pets)

    def index_tags(self, pets):
        PetTag.objects.filter(pet__in=pets).delete()
        PetTag.objects.bulk_create(PetTag(pet=pet, tag=tag) for pet in pets for tag in pet.tags)


class Pet(Versioned):
    """An animal and what is known of it, in Petfinder's words where it has them.

    Text that is not known is the empty string; a date or a size that is not known is null.
    """

    class Species(models.TextChoices):
        DOG = "dog", "Dog"
        CAT = "cat", "Cat"
        RABBIT = "rabbit", "Rabbit"
        BIRD = "bird", "Bird"
        DUCK = "duck", "Duck"
        GOOSE = "goose", "Goose"
        HAMSTER = "hamster", "Hamster"
        GUINEA_PIG = "guinea_pig", "Guinea pig"
        HORSE = "horse", "Horse"
        GOAT = "goat", "Goat"
        PIG = "pig", "Pig"
        REPTILE = "reptile", "Reptile"
        FISH = "fish", "Fish"
        OTHER = "other", "Other"

    class Sex(models.TextChoices):
        FEMALE = "female", "Female"
        MALE = "male", "Male"
        UNKNOWN = "unknown", "Unknown"

    class Size(models.TextChoices):
        SMALL = "small", "Small"
        MEDIUM = "medium", "Medium"
        LARGE = "large", "Large"
        XLARGE = "xlarge", "Extra large"

    class Status(models.TextChoices):
        HOME = "home", "At home"
        LOST = "lost", "Lost"
        FOUND = "found", "Found"
        ADOPTABLE = "adoptable", "Adoptable"
        PENDING = "pending", "Adoption pending"
        ADOPTED = "adopted", "Adopted"
        DECEASED = "deceased", "Deceased"

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="pets", db_index=False
    )
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
    # Read with the row; PetTag is the index of it that `tag=` searches.
    tags = models.JSONField(default=list, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.HOME)
    licence_number = models.CharField(max_length=50, blank=True)
    licence_issued_on = models.DateField(null=True, blank=True)
    postal_code = models.CharField(max_length=16, blank=True)
    microchip = models.CharField(
        max_length=15, blank=True, help_text="15 digits (ISO 11784); owner and staff see it."
    )
    is_public = models.BooleanField(
        default=True, help_text="Switched off, only its owner and staff know that it exists."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PetQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "licence_number"],
                condition=~Q(licence_number=""),
                name="pet_licence_unique_per_owner",
            ),
            models.CheckConstraint(
                condition=Q(species__in=["dog", "cat", "rabbit", "bird", "duck", "goose", "hamster",
                                         "guinea_pig", "horse", "goat", "pig", "reptile", "fish",
                                         "other"]),
                name="pet_species_known",
            ),
            models.CheckConstraint(
                condition=Q(sex__in=["female", "male", "unknown"]), name="pet_sex_known"
            ),
            models.CheckConstraint(
                condition=Q(size=None) | Q(size__in=["small", "medium", "large", "xlarge"]),
                name="pet_size_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["home", "lost", "found", "adoptable", "pending", "adopted",
                                        "deceased"]),
                name="pet_status_known",
            ),
            models.CheckConstraint(
                condition=Q(microchip="") | Q(Exact(Length("microchip"), 15)),
                name="pet_microchip_length",
            ),
        ]  # fmt: skip
        # Each ends on id, as the pages do: under one filter or one ordering a page is read off its
        # index, and nothing is sorted.
        indexes = [
            # With what may be seen: the newest of each of many owners are found in the index alone.
            models.Index(fields=["owner", "id", "is_public"], name="pet_owner_newest_idx"),
            models.Index(fields=["owner", "name", "id"], name="pet_owner_name_idx"),
            models.Index(fields=["owner", "created_at", "id"], name="pet_owner_created_idx"),
            models.Index(fields=["owner", "updated_at", "id"], name="pet_owner_updated_idx"),
            models.Index(fields=["species", "id"], name="pet_species_idx"),
            models.Index(Lower("breed"), "id", name="pet_breed_idx"),
            models.Index(fields=["status", "id"], name="pet_status_idx"),
            models.Index(fields=["sex", "id"], name="pet_sex_idx"),
            models.Index(fields=["size", "id"], name="pet_size_idx"),
            models.Index(fields=["postal_code", "id"], name="pet_postal_code_idx"),
            models.Index(fields=["birth_date", "id"], name="pet_birth_date_idx"),
            models.Index(fields=["name", "id"], name="pet_name_idx"),
            models.Index(fields=["created_at", "id"], name="pet_created_idx"),
            models.Index(fields=["updated_at", "id"], name="pet_updated_idx"),
        ]

    def __str__(self):
        return self.name or f"{self.get_species_display()} {self.pk}"

    def save(self, *args, update_fields=None, **kwargs):
        """Save the row, and the index of its tags when they may have changed."""
        adding = self._state.adding
        super().save(*args, update_fields=update_fields, **kwargs)
        stale = not adding and (update_fields is None or "tags" in update_fields)
        if stale:
            self.tag_index.all().delete()
        if self.tags and (adding or stale):
            PetTag.objects.bulk_create(PetTag(pet=self, tag=tag) for tag in self.tags)


insertion = PreparedInsert(Pet)


class PetTag(models.Model):
    """One tag of one pet, for looking pets up by tag.  Written by this module alone."""

    pet = models.ForeignKey(Pet, models.CASCADE, related_name="tag_index", db_index=False)
    tag = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pet", "tag"], name="pet_tag_once"),
        ]
        indexes = [models.Index(fields=["tag", "pet"], name="pet_tag_idx")]

    def __str__(self):
        return self.tag


class PetCountQuerySet(models.QuerySet):
    def visible_to(self, user, of_owner=False):
        """Return the counts of the pets that `user` may see (see PetQuerySet): of everybody's, or
        `of_owner`, to be narrowed to one."""
        counts = self if of_owner else self.filter(owner=EVERYBODY)
        if user is None or not user.is_authenticated:
            return counts.filter(is_public=True)
        if user.is_staff:
            return counts
        if of_owner:
            return counts.filter(Q(is_public=True) | Q(owner=user.pk))
        return self.filter(Q(owner=EVERYBODY, is_public=True) | Q(owner=user.pk, is_public=False))


EVERYBODY = 0


class PetCount(models.Model):
    """How many pets of an owner, or of EVERYBODY, are alike in what they are counted by.

    Written by the database (counts.py); there may be several rows for the same, to be summed up.
    """

    owner = models.BigIntegerField()  # no key: it is counted down when the owner is gone
    species = models.CharField(max_length=16)
    status = models.CharField(max_length=12)
    is_public = models.BooleanField()
    number = models.IntegerField()

    objects = PetCountQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "species", "status", "is_public"], name="petcount_idx")
        ]

    def __str__(self):
        return f"{self.number} {self.species}"


class BreedCount(models.Model):
    """How many public pets are of a breed; written and summed up as PetCount is."""

    species = models.CharField(max_length=16)
    breed = models.CharField(max_length=100)
    number = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["species", "breed"], name="breedcount_idx")]

    def __str__(self):
        return f"{self.number} {self.breed}"


class NothingToKeep(models.Manager):
    def get_queryset(self):
        return super().get_queryset().none()


class PetText(models.Model):
    """What SQLite looks texts up by in the names and breeds of pets (search.py)."""

    rowid = models.BigIntegerField(primary_key=True)  # the pet's id
    matching = models.TextField(db_column="api_pettext")  # FTS5 is asked by the table's own name

    objects = NothingToKeep()  # for `dumpdata`: it is made of the pets
    looked_up = models.Manager()  # noqa: DJ012 -- it is no field

    class Meta:
        managed = False
        db_table = "api_pettext"
        base_manager_name = "objects"

    def __str__(self):
        return str(self.rowid)


class IdempotentAnswer(models.Model):
    """What a POST with an Idempotency-Key was answered, kept for whoever sends it again.

    Written in the transaction of the change itself: there is none without the other.
    """

    # Of the caller and the key they chose; nobody else's key is the same.
    digest = models.CharField(max_length=64, unique=True)
    # Of what was sent: another body under the same key is refused.
    fingerprint = models.CharField(max_length=64)
    # Whose data the answer holds: it goes with their account.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    # Unknown only within the transaction that makes it.
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    # Of what was made, as it was then (see Versioned): the ETag is made of it.
    state = models.CharField(max_length=64, blank=True)
    body = models.BinaryField(default=b"")  # JSON, compressed
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    def __str__(self):
        return f"{self.status} of {self.created_at:%Y-%m-%d %H:%M}"
