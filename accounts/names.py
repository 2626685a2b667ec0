"""The name of an app: shown to people who decide by it, so it may be nobody else's."""

import unicodedata

from django.core.exceptions import ValidationError

from .models import Application

# Letters that look like Latin ones, and the digits and marks that do.
LOOKALIKES = str.maketrans(
    "аеорсухіїјѕһԁԝѡոвкмнтпαεορντυχικωηɑɩɯ01l|ı!†",
    "aeopcyxiijshdwwnbkmhtnaeopvtuxikwnaiwoiiiiit",
)
# Letters by their category, and nothing to see.
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"
SMALL_CAPITAL = "LATIN LETTER SMALL CAPITAL "
# Whose letters stand in for each other's.
SCRIPTS = {"ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LATIN", "LISU"}


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
    if len(scripts_of(name)) > 1:
        raise ValidationError("The name mixes letters of several alphabets.")
    return name


def without_hidden(name):
    """Return `name` without control characters and those that set direction or have no width."""
    categories = ((char, unicodedata.category(char)) for char in name)
    return "".join(
        " " if category in {"Cc", "Zl", "Zp"} else char
        for char, category in categories
        if category not in {"Cf", "Co", "Cs"} and char not in BLANKS
    )


def scripts_of(name):
    """Return which of the alphabets that can be mistaken for each other the letters are of."""
    letters = (char for char in name if char.isalpha())
    return {unicodedata.name(char, "").partition(" ")[0] for char in letters} & SCRIPTS


def skeleton(name):
    """Return what is left of a name when case, spaces and letters that look alike do not count."""
    plain = "".join(map(large, unicodedata.normalize("NFKD", name))).casefold()
    plain = plain.translate(LOOKALIKES)
    bones = "".join(char for char in plain if char.isalnum())
    return bones.replace("vv", "w").replace("rn", "m")


def large(char):
    """Return the letter that a small capital is one of."""
    name = unicodedata.name(char, "")
    rest = name.removeprefix(SMALL_CAPITAL)
    return rest if rest != name and len(rest) == 1 else char
