"""The pages of an account about the apps that a person publishes."""

import hashlib

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError, transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from oauth2_provider.generators import generate_client_id

from accounts.connections import last_used, people_of
from accounts.first_steps import first_steps
from accounts.forms.apps import AppForm
from accounts.models import Application, ApplicationLogo, User
from accounts.presets import ALL, PRESETS, preset_of

from . import (
    asked_before_filling_in,
    get_or_post,
    is_open_form,
    open_form,
    page_of_ones_own,
    reauthentication_required,
)

MAXIMUM_APPS = 50
SECRET_DUE = "app_secret_due"  # in the session
page_of_an_app = page_of_ones_own(Application.objects.select_related("logo").defer("logo__png"))


@never_cache
@login_required
@require_GET
def apps(request):
    """The apps that the person publishes."""
    own = list(
        Application.objects.filter(user=request.user)
        .select_related("logo")
        .defer("logo__png")
        .order_by("name", "pk")
    )
    people, used = people_of(own), last_used(own)
    for application in own:
        application.preset = preset_of(application)
        application.people = people.get(application.pk, 0)
        application.last_used = used.get(application.pk)
    return render(request, "accounts/apps.html", {"apps": own, "maximum": MAXIMUM_APPS})


@never_cache
@login_required
@get_or_post
@asked_before_filling_in
def app_new(request):
    """Choose what kind of app it is, then say what it needs.

    Each form that is shown carries the client_id its app will have: sent twice, also at once, it
    makes one app.
    """
    client_id = request.POST.get("form", "")
    is_open = is_open_form(request, client_id)
    if is_open and (made := own_app(request, client_id)):
        return shown(made)
    if has_no_room(request.user):
        return no_room(request)
    preset = PRESETS.get(request.GET.get("preset", ""))
    if preset is None:
        return render(request, "accounts/app_presets.html", {"presets": ALL})
    form = AppForm(preset, request.user)
    if request.method == "POST":
        form = AppForm(preset, request.user, data=request.POST, files=request.FILES)
        if form.is_valid() and not is_open:
            form.add_error(None, "This form was open for too long. Send it once more, please.")
        elif form.is_valid():
            try:
                with transaction.atomic():
                    # Locked: of many forms sent at once, each counts those before it.
                    User.objects.select_for_update().get(pk=request.user.pk)
                    if has_no_room(request.user):
                        return no_room(request)
                    made = form.save(client_id=client_id)
            except IntegrityError:  # the other half of a double click was faster
                return shown(own_app(request, client_id))
            if made.is_confidential:
                request.session[SECRET_DUE] = {"app": made.pk, "is_first": True}
            messages.success(request, f"{made.name} is registered.")
            return shown(made)
    form_id = open_form(request, generate_client_id())
    context = {"form": form, "preset": preset, "form_id": form_id}
    return render(request, "accounts/app_form.html", context)


def has_no_room(user):
    return Application.objects.filter(user=user).count() >= MAXIMUM_APPS


def no_room(request):
    return render(request, "accounts/app_no_room.html", {"maximum": MAXIMUM_APPS}, status=403)


def own_app(request, client_id):
    return Application.objects.filter(user=request.user, client_id=client_id).first()


def shown(application):
    """Lead to the new app: to its secret first, where it has one."""
    return redirect("app-secret" if application.is_confidential else "app", application.pk)


@page_of_an_app
@require_GET
def app(request, application):
    """All there is to know of one app."""
    application.people = people_of([application]).get(application.pk, 0)
    application.last_used = last_used([application]).get(application.pk)
    context = {
        "application": application,
        "preset": preset_of(application),
        "steps": first_steps(application),
        "issuer": settings.PUBLIC_URL,
    }
    return render(request, "accounts/app.html", context)


@page_of_an_app
@get_or_post
@asked_before_filling_in
def app_edit(request, application):
    """Change what was said of an app, within its kind."""
    preset, was_verified = preset_of(application), application.is_verified
    form = AppForm(
        preset,
        request.user,
        application,
        **({"data": request.POST, "files": request.FILES} if request.method == "POST" else {}),
    )
    if form.is_bound and form.is_valid():
        application = form.save()
        messages.success(request, "Saved.")
        if was_verified and not application.is_verified:
            messages.warning(request, "It is no longer verified, since it looks different now.")
        return redirect("app", application.pk)
    form_id = open_form(request, f"edit-{application.pk}")
    context = {"form": form, "preset": preset, "form_id": form_id}
    return render(request, "accounts/app_form.html", context)


@page_of_an_app
@reauthentication_required
@get_or_post
def app_secret(request, application):
    """Make a secret and show it, this once.

    The POST only leaves word in the session that one is due, and the page it leads to makes it:
    so the secret itself is nowhere but on that page, and loading it again shows nothing.
    """
    if not application.is_confidential:
        raise Http404
    if request.method == "POST":
        request.session[SECRET_DUE] = {"app": application.pk, "is_first": False}
        return redirect("app-secret", application.pk)
    due = request.session.get(SECRET_DUE, {})
    if due.get("app") == application.pk:
        del request.session[SECRET_DUE]
        if due["is_first"]:
            secret = application.rotate_secret(keep_old=False)
        elif application.old_client_secret:
            messages.error(request, "There are two secrets already; remove the older one first.")
            return redirect("app", application.pk)
        else:
            secret = application.rotate_secret()
        context = {
            "application": application,
            "secret": secret,
            "steps": first_steps(application, secret),
        }
        return render(request, "accounts/app_secret_shown.html", context)
    return confirm(
        request,
        application,
        title="Make a new secret?",
        sentences=[
            "It is shown once. The current one keeps working, so that your app changes over "
            "without a break; remove it afterwards.",
        ],
        button="Make a new secret",
    )


@page_of_an_app
@reauthentication_required
@get_or_post
def app_drop_secret(request, application):
    """Remove the older of two secrets."""
    if request.method == "POST":
        application.drop_old_secret()
        messages.success(request, "The older secret is removed.")
        return redirect("app", application.pk)
    return confirm(
        request,
        application,
        template="accounts/app_drop_secret.html",
        title="Remove the older secret?",
        button="Remove it",
        is_dangerous=True,
    )


@page_of_an_app
@reauthentication_required
@get_or_post
def app_revoke(request, application):
    """Take everything the app holds, of everybody."""
    if request.method == "POST":
        application.revoke_all()
        messages.success(request, f"{application.name} holds no tokens any more.")
        return redirect("app", application.pk)
    if preset_of(application).acts_for_itself:
        sentences = [
            "The tokens it got end at once.",
            "The app itself stays, with its secrets: it can get new ones.",
        ]
    else:
        sentences = [
            f"{people_affected(application)} Whatever it holds of them ends at once, and so do "
            "the tokens it got for itself.",
            "The app itself stays, with its secrets: it can ask people again.",
        ]
    return confirm(
        request,
        application,
        title="Revoke all tokens of this app?",
        sentences=sentences,
        button="Revoke all tokens",
        is_dangerous=True,
    )


def people_affected(application):
    people = people_of([application]).get(application.pk, 0)
    if people == 0:
        return "Nobody lets it in at present."
    return "1 person lets it in." if people == 1 else f"{people:,} people let it in."


@page_of_an_app
@reauthentication_required
@get_or_post
def app_delete(request, application):
    """Delete the app and everything it holds."""
    if request.method == "POST":
        application.delete()
        messages.success(request, f"{application.name} is deleted.")
        return redirect("apps")
    what_goes = "Its client_id, secrets, logo and all tokens go"
    if preset_of(application).acts_for_itself:
        what_goes += "."
    else:
        what_goes = f"{people_affected(application)} {what_goes}; what they agreed to is forgotten."
    return confirm(
        request,
        application,
        title="Delete this app?",
        sentences=[what_goes, "There is no way back. To pause it, switch it off instead."],
        button="Delete it for good",
        is_dangerous=True,
    )


def confirm(request, application, template="accounts/app_confirm.html", **context):
    return render(request, template, {"application": application} | context)


@page_of_an_app
@require_POST
def app_switch(request, application):
    """Switch the app off, or on again unless it was staff who switched it off."""
    on = request.POST.get("active") == "on"
    # One statement: staff may switch it off at this very moment.
    changeable = Application.objects.filter(pk=application.pk, is_suspended=False)
    if not changeable.update(is_active=on):
        messages.error(request, "Staff switched it off; ask them to switch it on again.")
    else:
        state = "on again" if on else "off: neither it nor its tokens work"
        messages.success(request, f"{application.name} is switched {state}.")
    return redirect("app", application.pk)


@require_GET
def app_logo(request, pk):
    """The logo of an app as a PNG, for anybody: the consent page shows it."""
    png = bytes(get_object_or_404(ApplicationLogo, application__pk=pk).png)
    etag = quote_etag(hashlib.sha256(png).hexdigest()[:32])
    response = HttpResponse(
        png,
        content_type="image/png",
        headers={"ETag": etag, "Cache-Control": "public, max-age=300"},
    )
    return get_conditional_response(request, etag=etag, response=response)
