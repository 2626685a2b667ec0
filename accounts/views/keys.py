"""The pages of an account about its API keys: for people signed in, never for a token or a key."""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.connections import sentences
from accounts.forms.keys import KeyForm, NameForm, RotateForm
from accounts.keys import generate
from accounts.models import ApiKey
from accounts.snippets import KEY, curl, first_path, python

from . import (
    asked_before_filling_in,
    get_or_post,
    is_open_form,
    open_form,
    page_of_ones_own,
    reauthentication_required,
)

MOST_ENDED = 50  # that the list shows
TOLD_FOR = timedelta(days=30)  # of a key that ended because somebody else may know it
KEY_DUE = "key_due"  # in the session
ALL_KEYS = ApiKey.objects.select_related("replaced_by")
page_of_a_key = page_of_ones_own(ALL_KEYS)


@never_cache
@login_required
@require_GET
def keys(request):
    """The person's keys: those that live, and the latest that ended."""
    live = list(ApiKey.objects.live().filter(user=request.user).select_related("replaced_by"))
    others = ALL_KEYS.filter(user=request.user).exclude(pk__in=[api_key.pk for api_key in live])
    ended = list(others[:MOST_ENDED])
    for api_key in (*live, *ended):
        tell(api_key)
    lately = timezone.now() - TOLD_FOR
    context = {
        "live": live,
        "ended": ended,
        "maximum": ApiKey.MOST_PER_USER,
        "public_url": settings.PUBLIC_URL,
        "leaked": any(k.exposed_at and k.exposed_at > lately for k in ended),
    }
    return render(request, "accounts/keys.html", context)


def tell(api_key):
    """Give `api_key` what it may do as pairs of a scope and its sentence."""
    scopes = api_key.scope.split()
    api_key.may = list(zip(sorted(scopes), sentences(scopes), strict=True))


# --- Making -----------------------------------------------------------------------------------


@never_cache
@login_required
@get_or_post
@asked_before_filling_in
def key_new(request):
    """Say what a new key is for, what it may do, how long and from where.

    `?like=` is the number of a key of one's own whose answers the form begins with, `?scope=` what
    it is to have.
    """
    if made := made_by_this_form(request):
        return made_already(request, made)
    if ApiKey.objects.has_no_room(request.user):
        context = {"maximum": ApiKey.MOST_PER_USER}
        return render(request, "accounts/key_no_room.html", context, status=403)
    if request.method == "POST":
        return leave_word(request, KeyForm(request.user, data=request.POST))
    like = request.GET.get("like", "")
    number = int(like) if like.isascii() and like.isdigit() and len(like) < 19 else 0
    like = ApiKey.objects.filter(user=request.user, pk=number).first()
    return ask(request, KeyForm(request.user, like, request.GET.get("scope", "").split()))


@page_of_a_key
@get_or_post
@asked_before_filling_in
def key_rotate(request, api_key):
    """Put a new key in the place of one, which ends when the person says."""
    if made := made_by_this_form(request):
        return made_already(request, made)
    try:
        api_key.check_that_it_can_be_rotated()
    except ValidationError as refusal:
        messages.error(request, refusal.message)
        return redirect("key", api_key.pk)
    if request.method == "POST":
        return leave_word(request, RotateForm(api_key, data=request.POST), replaces=api_key.pk)
    return ask(request, RotateForm(api_key))


def ask(request, form):
    """Show a form; it carries the id of the key that it will make."""
    old = getattr(form, "old", None)
    if old:
        tell(old)
    context = {
        "form": form,
        "form_id": open_form(request, generate()[1]),
        "api_key": old,
        "address": request.META.get("REMOTE_ADDR", ""),
        "action": reverse("key-rotate", args=[old.pk]) if old else reverse("key-new"),
    }
    return render(request, f"accounts/key_{'rotate' if old else 'form'}.html", context)


def leave_word(request, form, replaces=None):
    """Keep in the session what key is due, and lead to the page that makes it; or say what is
    wrong.

    Each form that is shown carries the id its key will have: sent twice, also at once, it makes
    one key.
    """
    key_id = request.POST.get("form", "")
    is_open = is_open_form(request, key_id)
    if form.is_valid() and is_open:
        due = {"replaces": replaces, "sent": form.as_sent()}
        # By the id: another form may have been sent from another tab.
        request.session[KEY_DUE] = request.session.get(KEY_DUE, {}) | {key_id: due}
        return redirect("key-shown", key_id)
    if form.is_valid():
        form.add_error(None, "This form was open for too long. Send it once more, please.")
    return ask(request, form)


@never_cache
@login_required
@require_GET
@reauthentication_required
def key_shown(request, key_id):
    """Make the key that is due and show it, this once.

    The session has only word of what is due: so the key itself is nowhere but on this page, and
    loading it again shows nothing.
    """
    due = request.session.get(KEY_DUE, {}).get(key_id)
    if due is None:
        return made_already(request, get_object_or_404(ApiKey, user=request.user, key_id=key_id))
    del request.session[KEY_DUE][key_id]
    request.session.modified = True
    if due["replaces"]:
        old = get_object_or_404(ApiKey, user=request.user, pk=due["replaces"])
        form = RotateForm(old, data=due["sent"])
    else:
        form = KeyForm(request.user, data=due["sent"])
    if not form.is_valid():  # since it was sent, the day has gone by or another key was made
        return ask(request, form)
    try:
        api_key, key = form.make(key_id)
    except IntegrityError:  # the other half of a double click was faster
        return made_already(request, own_key(request, key_id))
    except ValidationError as refusal:
        if made := own_key(request, key_id):
            return made_already(request, made)
        form.add_error(None, refusal.messages)
        return ask(request, form)
    tell(api_key)
    context = {
        "api_key": api_key,
        "key": key,
        "old": ApiKey.objects.filter(replaced_by=api_key).first(),
        **first_call(api_key, key),
    }
    return render(request, "accounts/key_shown.html", context)


def made_by_this_form(request):
    """Return the key that the form which is sent has made already, else None."""
    key_id = request.POST.get("form", "")
    return own_key(request, key_id) if is_open_form(request, key_id) else None


def own_key(request, key_id):
    return ApiKey.objects.filter(user=request.user, key_id=key_id).first()


def made_already(request, api_key):
    """Lead to a key whose form, or whose page with the secret, came twice."""
    messages.warning(
        request,
        "This key is made, and was shown once. If you did not save it, rotate it: you get another "
        "in its place.",
    )
    return redirect("key", api_key.pk)


def first_call(api_key, key=KEY):
    """Return a call that the key may make, as a command and as a program."""
    url = f"{settings.PUBLIC_URL}{first_path(api_key.scope)}"
    return {"curl": curl("GET", url, key=key), "python": python("GET", url, key=key)}


# --- One key ----------------------------------------------------------------------------------


@page_of_a_key
@get_or_post
def key(request, api_key):
    """All there is to know of one key; its name may change."""
    form = NameForm(
        initial={"name": api_key.name}, data=request.POST if request.method == "POST" else None
    )
    if form.is_bound and form.is_valid():
        ApiKey.objects.filter(pk=api_key.pk).update(name=form.cleaned_data["name"])
        messages.success(request, "Saved.")
        return redirect("key", api_key.pk)
    tell(api_key)
    context = {
        "api_key": api_key,
        "form": form,
        "old": ApiKey.objects.filter(replaced_by=api_key).first(),
        **first_call(api_key),
    }
    return render(request, "accounts/key.html", context)


@page_of_a_key
@require_POST
def key_switch(request, api_key):
    """Switch the key off, or on again unless it has ended."""
    on = request.POST.get("active") == "on"
    # One statement: it may be revoked at this very moment.
    changeable = ApiKey.objects.live().filter(pk=api_key.pk)
    if not changeable.update(disabled_at=None if on else timezone.now()):
        messages.error(request, "This key has ended: it cannot be switched on or off any more.")
    else:
        state = "on again" if on else "off: it does not work until you switch it on again"
        messages.success(request, f"{api_key.name} is switched {state}.")
    return redirect("key", api_key.pk)


@page_of_a_key
@reauthentication_required
@get_or_post
def key_revoke(request, api_key):
    """End the key for good."""
    if request.method == "POST":
        api_key.revoke()
        messages.success(request, f"{api_key.name} is revoked.")
        return redirect("keys")
    if not api_key.is_live:
        messages.error(request, "This key has ended already.")
        return redirect("key", api_key.pk)
    return render(request, "accounts/key_revoke.html", {"api_key": api_key})
