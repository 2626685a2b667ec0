"""The name of an app: shown to people who decide by it, so it may be nobody else's."""

import unicodedata

from django.core.exceptions import ValidationError

from .models import Application

# Letters that look like Latin ones, and the digits and marks that do.
LOOKALIKES = str.maketrans(
    "аеорсухіїјѕһԁԝѡոвкмнтαεορντυχικω01l|ı",
    "aeopcyxiijshdwwnbkmhtaeopvtuxikwoiiii",
)


def clean(name, application):
    """Return `name` on one line, without characters that nobody sees or that turn it around.

    Raises ValidationError for a name that could be taken for ours, or for that of an app which
    staff verified, other than `application`.
    """
    name = " ".join(without_hidden(name).split())
    if name == application.name:
        return name
    bones = skeleton(name)
    if name and not bones:
        raise ValidationError("The name needs a letter or a digit.")
    if skeleton("Pawprint") in bones:
        raise ValidationError("The name would be taken for our own: leave Pawprint out of it.")
    verified = Application.objects.filter(is_verified=True).exclude(pk=application.pk)
    if bones in map(skeleton, verified.values_list("name", flat=True)):
        raise ValidationError("A verified app has this name.")
    return name


def without_hidden(name):
    """Return `name` without control characters and those that set direction or have no width."""
    categories = ((char, unicodedata.category(char)) for char in name)
    return "".join(
        " " if category in {"Cc", "Zl", "Zp"} else char
        for char, category in categories
        if category not in {"Cf", "Co", "Cs"}
    )


def skeleton(name):
    """Return what is left of a name when case, spaces and letters that look alike do not count."""
    plain = unicodedata.normalize("NFKD", name).casefold().translate(LOOKALIKES)
    bones = "".join(char for char in plain if char.isalnum())
    return bones.replace("vv", "w").replace("rn", "m")
