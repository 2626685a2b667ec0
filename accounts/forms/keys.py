"""The forms an API key is made, replaced and named with."""

import ipaddress
from datetime import UTC, datetime, time, timedelta

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dateformat import format as written
from oauth2_provider.scopes import get_scopes_backend

from accounts import names
from accounts.models import ApiKey, in_words

from . import BeginsWhereItIsWrong, LinesField

# What an app signs people in with: of no use to a key, which is its owner's own.
FOR_SIGNING_IN = {"openid", "profile"}
LIFETIMES = (7, 30, 90, ApiKey.MAXIMUM_LIFETIME.days)
OVERLAPS = {
    timedelta(0): "At once",
    timedelta(hours=1): "After 1 hour",
    timedelta(days=1): "After 1 day",
    timedelta(days=7): "After 7 days",
}
MAPPED_IPV4 = ipaddress.ip_network("::ffff:0:0/96")


def problem_with_network(entry):
    """Return why a key cannot be bound to `entry`, else None."""
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return "this is neither an address nor a network such as 192.0.2.0/24."
    if "%" in entry:
        return "leave out the % and what follows."
    if network.prefixlen == 0:
        return "this is every address; leave the field empty instead."
    if network.version == 6 and network.subnet_of(MAPPED_IPV4):
        return "write it as an IPv4 address."
    if ipaddress.ip_interface(entry).ip != network.network_address:
        return f"a network is written with its first address: {network}."
    return None


class NameField(forms.CharField):
    """What its owner calls a key: one line, without what nobody sees."""

    def __init__(self, **options):
        super().__init__(
            max_length=ApiKey._meta.get_field("name").max_length,
            widget=forms.TextInput({"autocomplete": "off"}),
            **options,
        )

    def clean(self, value):
        name = " ".join(names.without_hidden(super().clean(value)).split())
        if not name:
            raise ValidationError("The name needs a letter or a digit.")
        return name


class ExpiryForm(BeginsWhereItIsWrong, forms.Form):
    """How long a new key lives: some days, or through a day of the person's own choice."""

    ON_A_DATE = "date"
    lifetime = forms.ChoiceField(label="It expires", widget=forms.RadioSelect)
    until = forms.DateField(
        label="Its last day",
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text="It works until the end of that day, UTC.",
        error_messages={"invalid": "Write the day as year-month-day, such as 2027-02-28."},
    )

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.fields["lifetime"].choices = [
            *((str(days), f"After {days} days") for days in LIFETIMES),
            (self.ON_A_DATE, "On a date of your own"),
        ]
        self.fields["lifetime"].initial = str(ApiKey.DEFAULT_LIFETIME.days)
        today = timezone.now().date()
        # The whole of the last day has to fit in.
        self.first, self.last = today, today + ApiKey.MAXIMUM_LIFETIME - timedelta(days=1)
        self.fields["until"].widget.attrs |= {"min": str(self.first), "max": str(self.last)}

    def clean(self):
        until = self.cleaned_data.get("until")
        if self.cleaned_data.get("lifetime") != self.ON_A_DATE:
            # Whatever stands there, it was not chosen.
            self.errors.pop("until", None)
            self.cleaned_data["until"] = None
        elif until is None and "until" not in self.errors:
            self.add_error("until", "Choose the last day.")
        elif until and not self.first <= until <= self.last:
            first, last = (written(day, "j F Y") for day in (self.first, self.last))
            most = f"a key lives {ApiKey.MAXIMUM_LIFETIME.days} days at most."
            self.add_error("until", f"Choose a day from {first} to {last}: {most}")
        return self.cleaned_data

    @property
    def expires_in(self):
        """The lifetime that was chosen, as a timedelta."""
        if until := self.cleaned_data["until"]:
            end = datetime.combine(until + timedelta(days=1), time.min, UTC)
            return end - timezone.now()
        return timedelta(days=int(self.cleaned_data["lifetime"]))

    def as_sent(self):
        """What was sent, so that the session can keep it and the form be filled in again.

        Without what stood in a field that was not asked, nor around an answer: it may be long.
        """
        sent = {name: self[name].data for name in self.fields}
        sent["until"] = str(self.cleaned_data["until"] or "")
        return {
            name: value.strip() if isinstance(value, str) else value for name, value in sent.items()
        }


class KeyForm(ExpiryForm):
    """What a new key is for, what it may do, how long, and from where."""

    name = NameField(
        help_text="What it is for, such as “nightly export”.",
    )
    scope = forms.MultipleChoiceField(
        label="What it may do",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one thing that it may do."},
    )
    allowed_ips = LinesField(
        label="Where it may come from",
        required=False,
        problem_with=problem_with_network,
    )
    field_order = ("name", "scope", "lifetime", "until", "allowed_ips")

    def __init__(self, user, like=None, wanted=(), **options):
        """`like` is a key whose answers the form begins with, if any; `wanted` are scopes that it
        is to have too."""
        self.user = user
        scopes = get_scopes_backend()
        initial = {"scope": scopes.get_default_scopes()}
        if like:
            initial = {
                "name": like.name,
                "scope": like.scope.split(),
                "allowed_ips": "\n".join(like.allowed_ips.split()),
            }
            if like.lifetime.days in LIFETIMES:
                initial["lifetime"] = str(like.lifetime.days)
        if wanted:
            initial["scope"] = [*(like.scope.split() if like else ()), *wanted]
        super().__init__(initial=initial, **options)
        self.fields["scope"].choices = [
            (scope, sentence)
            for scope, sentence in scopes.get_all_scopes().items()
            if scope not in FOR_SIGNING_IN
        ]

    def clean_allowed_ips(self):
        networks = map(ipaddress.ip_network, self.cleaned_data["allowed_ips"].split())
        # Without the length where it is one address, as people write it.
        return list(
            dict.fromkeys(
                str(network.network_address if network.num_addresses == 1 else network)
                for network in networks
            )
        )

    def make(self, key_id):
        """Store the key and return it as `create_key` does; raises what that raises."""
        sent = self.cleaned_data
        return ApiKey.objects.create_key(
            self.user, sent["name"], sent["scope"], self.expires_in, sent["allowed_ips"], key_id
        )


class RotateForm(ExpiryForm):
    """How a new key takes the place of `old`: when that ends, and how long the new one lives."""

    AS_BEFORE = "same"
    overlap = forms.ChoiceField(
        label="The old key ends",
        widget=forms.RadioSelect,
        choices=[(str(int(d.total_seconds())), words) for d, words in OVERLAPS.items()],
    )
    field_order = ("overlap", "lifetime", "until")

    def __init__(self, old, **options):
        self.old = old
        super().__init__(**options)
        # An hour is enough to change over where somebody else may know the key.
        overlap = timedelta(hours=1) if old.exposed_at else timedelta(days=1)
        self.fields["overlap"].initial = str(int(overlap.total_seconds()))
        self.fields["lifetime"].label = "The new key expires"
        self.fields["lifetime"].initial = self.AS_BEFORE
        self.fields["lifetime"].choices = [
            (self.AS_BEFORE, f"After {in_words(old.lifetime)}, as this one"),
            *(
                (days, words)
                for days, words in self.fields["lifetime"].choices
                if days == self.ON_A_DATE or timedelta(days=int(days)) != old.lifetime
            ),
        ]

    def clean_overlap(self):
        overlap = timedelta(seconds=int(self.cleaned_data["overlap"]))
        if overlap and ApiKey.objects.has_no_room(self.old.user):
            raise ValidationError(
                f"There are {ApiKey.MOST_PER_USER} live keys, as many as one account can have: "
                "let the old one end at once, or revoke another first."
            )
        return overlap

    @property
    def expires_in(self):
        """The lifetime that was chosen; None for that of the old key."""
        return None if self.cleaned_data["lifetime"] == self.AS_BEFORE else super().expires_in

    def make(self, key_id):
        """Put a new key in the place of the old one; as `ApiKey.rotate`."""
        return self.old.rotate(self.cleaned_data["overlap"], self.expires_in, key_id)


class NameForm(BeginsWhereItIsWrong, forms.Form):
    """Another name for a key."""

    name = NameField()
