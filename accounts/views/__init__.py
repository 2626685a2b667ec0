"""The pages of an account, and what those have in common where a person makes something."""

import time
from functools import partial, wraps

from allauth.account.adapter import get_adapter
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.sessions import must_show_again, signed_in_at

FILLING_IN = 3600  # seconds that a form may stand open
OPEN_FORMS = "open_forms"  # in the session
get_or_post = require_http_methods(["GET", "POST"])


def reauthentication_required(view=None, *, enabled=lambda request: True):
    """Wrap a view for whoever has lately shown who they are; others are asked, and led back to the
    page.

    Not as allauth's, which carries out the form that was sent, whenever the password comes: who
    gave up deleting something must not find it deleted days later.
    """
    if view is None:
        return partial(reauthentication_required, enabled=enabled)

    @wraps(view)
    def wrapped(request, *args, **kwargs):
        if enabled(request) and must_show_again(request):
            methods = get_adapter().get_reauthentication_methods(request.user)
            url = methods[0]["url"] if methods else reverse("account_login")
            return redirect(f"{url}?{urlencode({'next': request.get_full_path()})}")
        return view(request, *args, **kwargs)

    return wrapped


def may_have_changed_hands(request):
    """Whether somebody else may sit there than who last showed who they are: not where a form comes
    back that was shown to them, within an hour."""
    is_theirs = request.method == "POST" and is_open_form(request, request.POST.get("form", ""))
    return not is_theirs or time.time() - signed_in_at(request) > FILLING_IN


# Before a form is shown, not while somebody fills it in: what was typed would be lost.
asked_before_filling_in = reauthentication_required(enabled=may_have_changed_hands)


def page_of_ones_own(rows):
    """Return a decorator for a view of one of `rows`: for its user signed in, 404 for anybody
    else; never cached."""

    def decorator(view):
        @wraps(view)
        @never_cache
        @login_required
        def wrapped(request, pk, **kwargs):
            row = get_object_or_404(rows.filter(user=request.user), pk=pk)
            return view(request, row, **kwargs)

        return wrapped

    return decorator


def open_form(request, form_id):
    """Note that a form is being shown, and return its `form_id`.

    The id is that of the row the form will make: sent twice, also at once, it makes one.  Only
    what was noted in the session counts, so that nobody chooses it.
    """
    request.session[OPEN_FORMS] = [*request.session.get(OPEN_FORMS, []), form_id][-20:]
    return form_id


def is_open_form(request, form_id):
    return form_id in request.session.get(OPEN_FORMS, [])
