"""The fields of our own: DRF's, but nothing is taken for something else."""

from rest_framework import serializers
from rest_framework.utils import html

LARGEST_ID = 2**63 - 1


def in_a_form(field):
    """Return whether `field` was sent by an HTML form, where everything is text."""
    return html.is_html_input(getattr(field.root, "initial_data", None))


class Text(serializers.CharField):
    """Text is text: DRF would take a number for it."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Truth(serializers.BooleanField):
    """True or false, and in a form a word for it: DRF would take a number too."""

    def to_internal_value(self, data):
        if not isinstance(data, bool) and not in_a_form(self):
            self.fail("invalid", input=data)
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """One of a few words; who sends another is told which there are."""

    default_error_messages = {
        "invalid_choice": '"{input}" is not a valid choice. Valid are {choices}.'
    }

    def fail(self, key, **kwargs):
        super().fail(key, choices=", ".join(map(str, self.choices)), **kwargs)


class TagList(serializers.ListField):
    """A bounded list: one that is too long is refused before its tags are looked at."""

    def to_internal_value(self, data):
        if isinstance(data, list | tuple) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return super().to_internal_value(data)


class TagField(Text):
    """A word or two: lower case, without spaces around it."""

    def to_internal_value(self, data):
        return super().to_internal_value(data).lower()


class Id(serializers.IntegerField):
    """A row's id: a number, not a text that looks like one, and of a size that rows have."""

    def __init__(self, **kwargs):
        super().__init__(min_value=1, max_value=LARGEST_ID, **kwargs)

    def to_internal_value(self, data):
        if type(data) is not int:  # true is an int, too
            self.fail("invalid")
        return data
