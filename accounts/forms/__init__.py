"""The forms of an account's pages, and what they have in common."""

from django import forms
from django.core.exceptions import ValidationError

MOST_LINES = 20


class BeginsWhereItIsWrong:
    """A form that is shown again with the focus where its first problem is."""

    def full_clean(self):
        super().full_clean()
        # Who cannot see the page need not look for it.
        for name in [name for name in self.fields if name in self._errors][:1]:
            self.fields[name].widget.attrs["autofocus"] = True


class LinesField(forms.CharField):
    """Addresses, one a line; each that cannot be is refused by `problem_with(address)`."""

    widget = forms.Textarea

    def __init__(self, *, problem_with, **options):
        super().__init__(max_length=10_000, **options)
        self.problem_with = problem_with
        self.widget.attrs |= {
            "rows": 3,
            "class": "uris",
            "spellcheck": "false",
            "autocapitalize": "off",
        }

    def clean(self, value):
        lines = list(dict.fromkeys(super().clean(value).split()))
        if len(lines) > MOST_LINES:
            raise ValidationError(f"{MOST_LINES} addresses at most.")
        found = ((line, self.problem_with(line)) for line in lines)
        problems = [f"{shortened(line)}: {problem}" for line, problem in found if problem]
        if problems:
            raise ValidationError(problems)
        # Separated by spaces, as the database keeps lists.
        return " ".join(lines)


def shortened(text, length=100):
    return text if len(text) <= length else f"{text[:length]}…"
