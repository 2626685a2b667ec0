"""The form an app is registered and changed with."""

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from oauth2_provider.scopes import get_scopes_backend

from accounts import logos, names
from accounts.models import Application, ApplicationLogo
from accounts.presets import GRANT_TYPES
from accounts.uris import problem_with_origin, problem_with_redirect

from . import BeginsWhereItIsWrong, LinesField

# The body of a request has a limit too: the rest of the form has to fit in beside the picture.
MAXIMUM_LOGO_KB = settings.DATA_UPLOAD_MAX_MEMORY_SIZE * 9 // 10_000
TEXT_FIELDS = ("name", "homepage_url", "policy_url")
URI_FIELDS = ("redirect_uris", "post_logout_redirect_uris", "allowed_origins")
WORD_FIELDS = ("scope", "default_scope", "extra_grant_types")
LONGEST_NAME = 100


class LinkField(forms.URLField):
    """The address of a web page, if there is one."""

    NO_PAGE = "Write the whole address of a page, such as https://app.example.org/."
    default_validators = [URLValidator(schemes=["https", "http"], message=NO_PAGE)]
    default_error_messages = {"invalid": NO_PAGE}

    def __init__(self, **options):
        super().__init__(max_length=500, required=False, assume_scheme="https", **options)


class LogoField(forms.FileField):
    """A picture, cleaned to the PNG that we drew of it."""

    widget = forms.FileInput

    def clean(self, data, initial=None):
        file = super().clean(data, initial)
        if not file:
            return None
        if file.size > MAXIMUM_LOGO_KB * 1000:
            raise ValidationError(f"The logo is larger than {MAXIMUM_LOGO_KB} kB.")
        return logos.draw(file.read())


class AppForm(BeginsWhereItIsWrong, forms.Form):
    """What a publisher says of an app of `preset`; `application` is the one to change, if any.

    Beyond its fields a form is judged by `Application.clean()`, so that nothing can be registered
    here that cannot be elsewhere.
    """

    name = forms.CharField(
        max_length=LONGEST_NAME,
        help_text="What people read when they are asked to let it in.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    homepage_url = LinkField(label="Homepage")
    policy_url = LinkField(
        label="Privacy policy", help_text="Where people read what becomes of their data."
    )
    logo = LogoField(
        required=False,
        widget=forms.FileInput(
            {"accept": ".png,.jpg,.jpeg,.webp,.gif", "data-maximum-bytes": MAXIMUM_LOGO_KB * 1000}
        ),
        help_text=f"PNG, JPEG, WebP or GIF, {MAXIMUM_LOGO_KB} kB at most. It is shown small and "
        "square.",
    )
    remove_logo = forms.BooleanField(label="Remove the logo", required=False)
    redirect_uris = LinesField(label="Redirect URIs", problem_with=None)
    post_logout_redirect_uris = LinesField(
        label="Redirect URIs after signing out",
        required=False,
        problem_with=None,
        help_text="Where people may be sent when they sign out of Pawprint through the app. "
        "The same rules.",
    )
    allowed_origins = LinesField(
        label="Allowed origins",
        problem_with=None,
        help_text="One a line: where the page is served, such as https://app.example.org, without "
        "a path. Browsers let it call the API from there and from nowhere else.",
    )
    scope = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Name at least one thing that it may ask for."},
    )
    default_scope = forms.MultipleChoiceField(widget=forms.CheckboxSelectMultiple, required=False)
    extra_grant_types = forms.MultipleChoiceField(
        label="It also uses", widget=forms.CheckboxSelectMultiple, required=False
    )

    def __init__(self, preset, user, application=None, **options):
        self.preset = preset
        self.application = application or Application(
            user=user,
            client_type=preset.client_type,
            authorization_grant_type=preset.grant_type,
            scope=" ".join(get_scopes_backend().get_default_scopes()),
            default_scope=" ".join(get_scopes_backend().get_default_scopes()),
        )
        super().__init__(initial=self.told_by_the_application(), **options)
        if preset.acts_for_itself:
            self.fields["name"].help_text = ""
        self.fields["redirect_uris"].help_text = preset.redirect_help
        self.fields["redirect_uris"].widget.attrs["placeholder"] = preset.redirect_example
        for name in ("redirect_uris", "post_logout_redirect_uris"):
            self.fields[name].problem_with = self.problem_with_redirect
        self.fields["allowed_origins"].problem_with = problem_with_origin
        scopes = get_scopes_backend().get_all_scopes()
        kept = {*self.initial["scope"], *self.initial["default_scope"]}
        for name in ("scope", "default_scope"):  # the same ones: they share the rows of a table
            self.fields[name].choices = [
                (scope, preset.sentence_of(scope, sentence))
                for scope, sentence in scopes.items()
                if preset.offers_scope(scope) or scope in kept
            ]
        also = [*preset.more_grant_types, *self.initial["extra_grant_types"]]
        self.fields["extra_grant_types"].choices = [
            (grant_type, GRANT_TYPES.get(grant_type, grant_type))
            for grant_type in dict.fromkeys(also)
        ]
        for name in URI_FIELDS:
            if name not in preset.asks and not self.initial[name]:
                del self.fields[name]
            elif name not in preset.asks:  # somebody gave it some all the same
                self.fields[name].required = False
        if not also:
            del self.fields["extra_grant_types"]
        if not self.has_logo:
            del self.fields["remove_logo"]

    @property
    def has_logo(self):
        return self.application.pk is not None and hasattr(self.application, "logo")

    def told_by_the_application(self):
        application = self.application
        words = {name: getattr(application, name).split() for name in WORD_FIELDS}
        if not words["scope"]:  # none named means any
            every = get_scopes_backend().get_all_scopes()
            words["scope"] = [name for name in every if self.preset.offers_scope(name)]
        lines = {name: "\n".join(getattr(application, name).split()) for name in URI_FIELDS}
        return {name: getattr(application, name) for name in TEXT_FIELDS} | words | lines

    def scope_rows(self):
        """The scopes as the rows of a table: a checkbox for asking, one for the default."""
        return list(zip(self["scope"], self["default_scope"], strict=True))

    def problem_with_redirect(self, uri):
        return problem_with_redirect(uri, own_scheme=self.preset.may_have_own_scheme)

    def clean_name(self):
        name = names.clean(self.cleaned_data["name"], self.application)
        if not name:  # which is refused here alone: apps that register themselves may have none
            raise ValidationError("The name needs a letter or a digit.")
        return name

    def clean_default_scope(self):
        defaults = self.cleaned_data["default_scope"]
        extra = [scope for scope in defaults if scope not in self.cleaned_data.get("scope", ())]
        if extra and "scope" in self.cleaned_data:
            raise ValidationError(
                f"Tick “May ask” for {', '.join(extra)} too, or untick “By default”."
            )
        return defaults

    def clean(self):
        application = self.application
        for name in (*TEXT_FIELDS, *URI_FIELDS, *WORD_FIELDS):
            if name in self.cleaned_data:
                value = self.cleaned_data[name]
                setattr(application, name, " ".join(value) if name in WORD_FIELDS else value)
        try:
            application.full_clean(exclude=["client_id"])
        except ValidationError as refusal:
            for name, problems in refusal.error_dict.items():
                if name not in self.errors:  # what the form said already it said more plainly
                    self.add_error(name if name in self.fields else None, problems)
        if self.errors and self.cleaned_data.get("logo"):
            self.add_error("logo", "Choose the picture again: browsers do not keep it.")
        return self.cleaned_data

    def save(self, client_id=None):
        """Store the app and return it; a new one gets `client_id`.

        What staff looked at when they verified it is its name, homepage and logo: another one
        takes the badge away.
        """
        application, logo = self.application, self.cleaned_data.get("logo")
        drop_logo = self.cleaned_data.get("remove_logo") and not logo
        seen = {"name", "homepage_url", "logo", "remove_logo"}
        # Only what the form decides: staff and the publisher may decide the rest meanwhile.
        decided = {*TEXT_FIELDS, *URI_FIELDS, *WORD_FIELDS, "updated"}
        if seen & set(self.changed_data):
            application.is_verified = False
            decided.add("is_verified")
        with transaction.atomic():
            if application.pk is None:
                application.client_id = client_id
                application.save()
            else:
                application.save(update_fields=decided)
            if logo:
                ApplicationLogo.objects.update_or_create(
                    application=application, defaults={"png": logo}
                )
            elif drop_logo:
                ApplicationLogo.objects.filter(application=application).delete()
        return application
