"""The page of an account about where the person is signed in."""

from allauth.usersessions.adapter import get_adapter
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.sessions import browser_in_words, sessions_of


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def sessions(request):
    """Where the person is signed in, this browser first; a POST ends all others."""
    UserSession.objects.create_from_request(request)  # where it is not listed yet
    own = sessions_of(request.user)
    if request.method == "POST":
        others = [session for session in own if not session.is_current()]
        get_adapter().end_sessions(others)
        messages.success(request, "You are signed out everywhere but here.")
        return redirect("usersessions_list")
    for session in own:
        session.browser = browser_in_words(session.user_agent)
    own.sort(key=lambda session: session.last_seen_at, reverse=True)
    own.sort(key=UserSession.is_current, reverse=True)
    return render(request, "usersessions/usersession_list.html", {"sessions": own})


@never_cache
@login_required
@require_POST
def end_session(request, pk):
    """End one session of the person; which others there are is not told."""
    session = UserSession.objects.filter(pk=pk, user=request.user).first()
    if session is None:
        messages.info(request, "That session has ended already.")
        return redirect("usersessions_list")
    if session.is_current():
        logout(request)
        return redirect("home")
    get_adapter().end_sessions([session])
    messages.success(request, f"{browser_in_words(session.user_agent)} is signed out.")
    return redirect("usersessions_list")
