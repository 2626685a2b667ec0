"""The pages of an account, and what those have in common where a person makes something."""

import time
from functools import wraps

from allauth.account.decorators import reauthentication_required
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.sessions import signed_in_at

FILLING_IN = 3600  # seconds that a form may stand open
get_or_post = require_http_methods(["GET", "POST"])


def may_have_changed_hands(request):
    return request.method == "GET" or time.time() - signed_in_at(request) > FILLING_IN


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


def open_form(request, kind, form_id):
    """Note that a form of `kind` is being shown, and return its `form_id`.

    The id is that of the row the form will make: sent twice, also at once, it makes one.  Only
    what was noted in the session counts, so that nobody chooses it.
    """
    request.session[kind] = [*request.session.get(kind, []), form_id][-20:]
    return form_id


def is_open_form(request, kind, form_id):
    return form_id in request.session.get(kind, [])
