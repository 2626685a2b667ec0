"""Fill the registry with demo data: the tutorial's four users and their pets, an app, and more.

Run again it changes nothing that is there; `--pets N` sees to it that N generated pets exist.
The password and the API key of the demo are random, and kept under var/ for you to read.
"""

import os
import random
import secrets
from datetime import date, timedelta

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Application, User
from api.models import Pet

TUTORIAL = {
    "user1": [("Biscuit", "dog")],
    "user2": [],
    "user3": [("Puddle", "duck"), ("Ripple", "duck"), ("Mother", "goose")],
    "user4": [("Nibbles", "hamster")],
}
FIRST = "user1"
SHELTER = "harbour_shelter"
WEB_CLIENT_ID = "pawprint-demo-web"
NATIVE_CLIENT_ID = "pawprint-demo-native"
MACHINE_CLIENT_ID = "pawprint-demo-machine"
WEB_ORIGINS = "http://127.0.0.1:8001 http://localhost:8001"
KEY_SCOPE = "email pets:read pets:write users:read users:write"

NAMES = [
    *("Bella", "Charlie", "Coco", "Daisy", "Lola", "Luna", "Max", "Milo", "Moss", "Nala"),
    *("Olive", "Otis", "Pepper", "Rosie", "Ziggy"),
]
BREEDS = {
    "dog": ["Retriever, Labrador", "Collie, Border", "Poodle, Standard", "Terrier", "Beagle"],
    "cat": ["Domestic Shorthair", "Siamese", "Maine Coon", "Ragdoll", "Siberian"],
    "rabbit": ["Mini Lop", "Netherland Dwarf", "Rex"],
    "guinea_pig": ["Abyssinian", "Peruvian"],
    "horse": ["Connemara", "Haflinger"],
}
STATUSES = ["adoptable", "home", "found", "lost", "pending"]
COLORS = ["black", "brown", "ginger", "grey", "tortoiseshell", "white"]
TAGS = ["friendly", "good with children", "house trained", "indoor", "shy", "vaccinated"]


def kept(name, make, holds=lambda value: True):
    """Return var/NAME, made anew when it is missing or no longer `holds`; its owner reads it."""
    path = settings.VAR_DIR / name
    if path.exists() and holds(path.read_text()):
        return path.read_text()
    value = make()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(value)
    return value


def ensure(pets=200):
    """Make sure the demo is there, and return how to enter it.

    A dict of `username`, `password`, `key_file` (a path that holds an API key) and `new` (how
    many pets were made).
    """
    password = kept("demo_password", lambda: secrets.token_urlsafe(9))
    with transaction.atomic():
        first = ensure_tutorial(password)
        ensure_apps(first)
        new = ensure_generated(pets)
    return entrance(first) | {"new": new}


def is_loaded():
    """Return whether the demo was loaded once, whatever was removed of it since."""
    return User.objects.filter(username=SHELTER).exists()


def entrance(first=None):
    """Return how to enter the demo as its first user: a dict of `username`, `password` and
    `key_file`; None when that user is gone."""
    first = first or User.objects.filter(username=FIRST, is_active=True).first()
    if first is None:
        return None

    def holds(key):
        api_key = ApiKey.objects.filter(key_id=keys.parse(key), user=first).first()
        return api_key is not None and api_key.matches(key) and api_key.is_valid()

    kept("demo_api_key", lambda: make_key(first), holds)
    path = settings.VAR_DIR / "demo_password"
    password = path.read_text() if path.exists() else ""
    return {
        "username": first.username,
        "password": password if first.check_password(password) else "(you changed it)",
        "key_file": shortest(settings.VAR_DIR / "demo_api_key"),
    }


def shortest(path):
    """Return `path` as it is shortest to type from the project's folder."""
    return path.relative_to(settings.BASE_DIR) if path.is_relative_to(settings.BASE_DIR) else path


def make_key(user):
    """Return a new key of `user`, "" where there is no room for one."""
    ApiKey.objects.live().filter(user=user, name="Demo").update(revoked_at=timezone.now())
    try:
        return ApiKey.objects.create_key(user, "Demo", KEY_SCOPE.split())[1]
    except ValidationError:
        return ""


def ensure_tutorial(password):
    """Make the tutorial's users with their pets where they are missing; return the first."""
    for username, pets in TUTORIAL.items():
        user, is_new = User.objects.get_or_create(
            username=username, defaults={"email": f"{username}@example.com"}
        )
        if is_new:
            user.set_password(password)
            user.save()
            EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
            for name, species in pets:
                Pet.objects.create(owner=user, name=name, species=species)
    return User.objects.get(username=FIRST)


def ensure_apps(publisher):
    """Register the apps of examples/: a web page, a command line and a machine."""
    common = {"user": publisher, "scope": "email pets:read pets:write users:read users:write"}
    Application.objects.get_or_create(
        client_id=WEB_CLIENT_ID,
        defaults=common
        | {
            "name": "Pawprint demo page",
            "client_type": Application.CLIENT_PUBLIC,
            "client_secret": "",
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE,
            "redirect_uris": " ".join(f"{origin}/" for origin in WEB_ORIGINS.split()),
            "allowed_origins": WEB_ORIGINS,
        },
    )
    Application.objects.get_or_create(
        client_id=NATIVE_CLIENT_ID,
        defaults=common
        | {
            "name": "Pawprint demo command line",
            "client_type": Application.CLIENT_PUBLIC,
            "client_secret": "",
            "authorization_grant_type": Application.GRANT_AUTHORIZATION_CODE,
            # RFC 8252 §7.3: on loopback any port will do.
            "redirect_uris": "http://127.0.0.1/callback http://[::1]/callback",
            "extra_grant_types": Application.GRANT_DEVICE_CODE,
        },
    )
    if not Application.objects.filter(client_id=MACHINE_CLIENT_ID).exists():
        secret = kept("demo_client_secret", lambda: secrets.token_urlsafe(64))
        Application.objects.create(
            client_id=MACHINE_CLIENT_ID,
            client_secret=secret,
            user=publisher,
            name="Pawprint demo machine",
            scope="pets:read pets:write users:read",
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        )


def ensure_generated(count):
    """Give the demo shelter generated pets until it has `count`; return how many were made."""
    shelter, _ = User.objects.get_or_create(
        username=SHELTER,
        defaults={"display_name": "Harbour Animal Shelter", "is_organization": True},
    )
    missing = max(0, count - shelter.pets.count())
    # On from the highest number there is: some in between may have been removed.
    numbers = shelter.pets.filter(licence_number__regex=r"^D[0-9]{6}$")
    last = numbers.aggregate(last=Max("licence_number"))["last"]
    first = int(last[1:]) + 1 if last else 0
    dice = random.Random(first)  # noqa: S311  (the same pets each time)
    for start in range(first, first + missing, 1000):
        end = min(start + 1000, first + missing)
        Pet.objects.register([generate(shelter, number, dice) for number in range(start, end)])
    return missing


def generate(owner, number, dice):
    """Return one plausible pet, not saved."""
    species = dice.choices(list(BREEDS), weights=[50, 35, 8, 4, 3])[0]
    return Pet(
        owner=owner,
        name=dice.choice(NAMES),
        species=species,
        breed=dice.choice(BREEDS[species]),
        mixed_breed=dice.random() < 0.3,
        sex=dice.choice(Pet.Sex.values),
        birth_date=date(2012, 1, 1) + timedelta(days=dice.randrange(5000)),
        size=dice.choice([None, *Pet.Size.values]),
        color=dice.choice(COLORS),
        tags=sorted(dice.sample(TAGS, dice.randrange(3))),
        status=dice.choices(STATUSES, weights=[50, 20, 10, 10, 10])[0],
        licence_number=f"D{number:06}",
        licence_issued_on=date(2022, 1, 1) + timedelta(days=dice.randrange(1400)),
        postal_code=f"98{dice.randrange(100, 200)}",
    )


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--pets", type=int, default=200, help="How many generated pets.")

    def handle(self, *, pets, **options):
        demo = ensure(pets)
        self.stdout.write(
            f"Sign in as {demo['username']} with the password {demo['password']}; an API key is "
            f"in {demo['key_file']}. {demo['new']} pets were generated."
        )
