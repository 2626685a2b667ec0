"""allauth's forms of an account, in the words of this site."""

from allauth.account import forms
from allauth.account.fields import PasswordField

PASSWORD_HELP = (
    "Ten characters at least; no common password, not only digits, and nothing like your name."
)


def rename(form, **labels):
    """Give fields of a form other labels; what it has not is left out."""
    for name, label in labels.items():
        if name in form.fields:
            form.fields[name].label = label


class LoginForm(forms.LoginForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, login="User name or e-mail", remember="Keep me signed in here")
        self.fields["login"].widget.attrs.update(
            {"autocomplete": "username webauthn", "autocapitalize": "none", "spellcheck": "false"}
        )


class SignupForm(forms.SignupForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, username="User name", email="E-mail", password2="Password again")
        self.fields["password1"].help_text = PASSWORD_HELP
        self.fields["username"].help_text = "Everybody can see it: it is part of your address here."
        self.fields["username"].widget.attrs |= {"autocapitalize": "none", "spellcheck": "false"}
        self.fields["email"].help_text = "For you alone. Apps see it only if you agree."


class AddEmailForm(forms.AddEmailForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, email="Another address")


class ChangePasswordForm(forms.ChangePasswordForm):
    oldpassword = PasswordField(label="Current password", autocomplete="current-password")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, password1="New password", password2="New password again")
        self.fields["password1"].help_text = PASSWORD_HELP


class ResetPasswordForm(forms.ResetPasswordForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, email="E-mail")

    def clean_email(self):
        email = super().clean_email()
        # Many accounts may claim an address that nobody confirmed; who has it gets one mail.
        self.users = sorted(self.users, key=lambda user: user.pk)[-1:]
        return email


class ResetPasswordKeyForm(forms.ResetPasswordKeyForm):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        rename(self, password1="New password", password2="New password again")
        self.fields["password1"].help_text = PASSWORD_HELP
