"""The page that deletes an account, and says before what goes and what stays."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.deletion import delete_account, what_goes

from . import reauthentication_required


class DeletionForm(forms.Form):
    """Asks the person to type their name: nobody deletes an account by a slip."""

    username = forms.CharField(
        label="Your user name",
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_username(self):
        name = self.cleaned_data["username"]
        if name != self.user.get_username():
            raise forms.ValidationError("This is not your user name. Type it as it stands above.")
        return name


@never_cache
@login_required
@reauthentication_required
@require_http_methods(["GET", "POST"])
def delete(request):
    """Say what goes with the account, and delete it once its name is typed."""
    user = request.user
    form = DeletionForm(user, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        context = {"form": form, "goes": what_goes(user)}
        return render(request, "accounts/delete.html", context)
    delete_account(request)
    messages.success(request, f"The account {user.get_username()} is deleted, and all in it.")
    return redirect("home")
