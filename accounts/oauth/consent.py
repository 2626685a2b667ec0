"""What a person is shown of the scopes that an app asks for, and what becomes of their answer."""

from oauth2_provider.scopes import get_scopes_backend

from .. import tasks
from ..models import Consent

# Signing in with Pawprint is nothing that a person could allow by half.
REQUIRED_SCOPES = {"openid"}
# What our pages' own button says: of the scopes, those that were left ticked.
TICKED = "ticked"


def rows(scopes, ticked=None):
    """Return what the page shows for each of `scopes`, all ticked unless `ticked` says which."""
    sentences = get_scopes_backend().get_all_scopes()
    return [
        {
            "name": scope,
            "sentence": sentences[scope],
            "is_required": scope in REQUIRED_SCOPES,
            "is_ticked": ticked is None or scope in ticked,
        }
        for scope in scopes
    ]


def granted(scopes, answer, form):
    """Return which of `scopes` a posted `form` grants by its `answer`: those ticked on our pages,
    all where a client of the toolkit's own form, which has no ticks, says yes."""
    if answer != TICKED:
        return list(scopes)
    kept = {*form.getlist("granted"), *REQUIRED_SCOPES}
    return [scope for scope in scopes if scope in kept]


def remember(user, application, asked, granted):
    """Keep the answer, and tell the person of what is new in it."""
    if Consent.objects.remember(user, application, asked, granted):
        tasks.tell_of_connection(user, application, granted)
