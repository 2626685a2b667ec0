"""What goes with an account, and its going: by its page and by the API."""

import structlog
from allauth.account.adapter import get_adapter as get_account_adapter
from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib.auth import logout

from .connections import connections_of, people_of
from .models import ApiKey, Application
from .sessions import sessions_of

log = structlog.get_logger("pawprint.deletion")


def delete_account(request):
    """Delete the account of who is signed in, with all its sessions, and confirm it by a mail."""
    user = request.user
    sessions = list(UserSession.objects.filter(user=user))
    user.delete()
    get_adapter().end_sessions(sessions)
    logout(request)
    if user.email:
        try:
            context = {"username": user.get_username()}
            get_account_adapter().send_mail("account/email/account_deleted", user.email, context)
        except OSError:  # the account is deleted, whether or not the mail server is there
            log.exception("The mail about a deletion could not be sent.")


def what_goes(user):
    """Return how much of each kind goes with the account."""
    apps = list(Application.objects.filter(user=user))
    return {
        "pets": user.pets.count(),
        "keys": ApiKey.objects.filter(user=user).count(),
        "apps": len(apps),
        "people": sum(people_of(apps).values()),
        "connections": len(connections_of(user)),
        "sessions": len(sessions_of(user)),
    }
