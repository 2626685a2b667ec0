"""May this caller do this: one class judges every credential, another the owner of the object."""

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission

from .errors import InsufficientScope


class UserRequired(PermissionDenied):
    default_code = "user_required"
    default_detail = (
        "This app acts for itself and has no user; writing needs a token that a user consented "
        "to (authorization code or device code)."
    )


class NotOwner(PermissionDenied):
    default_code = "not_owner"
    default_detail = "It belongs to somebody else; only its owner and staff may change it."


class SessionRequired(PermissionDenied):
    default_code = "session_required"
    default_detail = "Only the person may do this, signed in with a browser."


def required_scopes(view, method):
    """Return the scopes `method` needs on `view`: its `required_scopes = ["pets"]` becomes
    `["pets:read"]` or `["pets:write"]`; an empty list asks for a credential and no scope.

    What the request at hand wants to see besides (`expanded_objects`) is read, and needs that too.

    Raises ImproperlyConfigured for a view that says nothing: silence is how holes appear.
    """
    try:
        objects = view.required_scopes
    except AttributeError:
        raise ImproperlyConfigured(f"{type(view).__name__} must say its required_scopes.") from None
    action = "read" if method in SAFE_METHODS else "write"
    scopes = [f"{name}:{action}" for name in objects]
    return scopes + [f"{name}:read" for name in getattr(view, "expanded_objects", ())]


class HasScope(BasePermission):
    """Sessions pass, tokens and keys need the scope, writing needs a user."""

    def has_permission(self, request, view):
        scopes = required_scopes(view, request.method)
        signed_in = request.user is not None and request.user.is_authenticated
        if request.auth is None and not signed_in:
            raise NotAuthenticated("Send an access token or an API key, or sign in.")
        if request.auth is not None:
            missing = [scope for scope in scopes if not request.auth.allow_scopes([scope])]
            if missing:
                raise InsufficientScope(scopes, missing)
            if request.user is None and request.method not in SAFE_METHODS:
                raise UserRequired
        return True


class IsPublic(BasePermission):
    """Anybody may; a credential that is present must hold all the same."""

    def has_permission(self, request, view):
        return True


class IsOwnerOrStaff(BasePermission):
    """Whoever sees a thing may read it; its owner and staff may change it."""

    def has_object_permission(self, request, view, obj):
        if request.method in SAFE_METHODS:
            return True
        if obj.owner_id != request.user.pk and not request.user.is_staff:
            raise NotOwner
        return True
