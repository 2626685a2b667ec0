"""The device authorization grant (RFC 8628): a device without a keyboard borrows the person's."""

import json
import math

from django.core.exceptions import ValidationError
from django.http import Http404
from django.utils import timezone
from oauth2_provider import views
from oauth2_provider.scopes import get_scopes_backend
from oauth2_provider.views.device import DeviceGrantForm

from .. import keys, tasks
from ..models import Application, Consent, DeviceGrant
from ..throttling import Budget
from . import metadata_documents
from .authorize import REQUIRED_SCOPES, TICKED
from .requests import challenged, keep, presented_client, token_error
from .scopes import ApplicationScopes
from .validator import problem_with_resources

# RFC 8628 §5.1: a code has 34 bits and half an hour; a person types a handful in that time.
CODES_BY_PERSON = Budget("user-code", 10, 10 * 60)
CODES_BY_ADDRESS = Budget("user-code-address", 50, 10 * 60)


class DeviceAuthorizationView(views.DeviceAuthorizationView):
    """Where a device asks for its codes (§3.1)."""

    def post(self, request, *args, **kwargs):
        # Here and not after the person has agreed to what the app will never get.
        if request.content_type != "application/x-www-form-urlencoded":
            return token_error("invalid_request", "Send application/x-www-form-urlencoded.")
        # oauthlib compares the whole header; a charset makes it no other type (RFC 9110 §8.3.1).
        request.META["CONTENT_TYPE"] = request.content_type
        keep(request, ("client_id", "client_secret", "scope", "resource"))
        client_id = presented_client(request)
        # §3.1: a client that authenticates need not name itself; the toolkit wants it named.
        request.POST["client_id"] = client_id
        metadata_documents.refresh(client_id, request.META["REMOTE_ADDR"])
        client = Application.objects.filter(client_id=client_id).first()
        if client and not client.allows_grant_type(Application.GRANT_DEVICE_CODE):
            return token_error("unauthorized_client", "The app is not one for devices.")
        asked = set(request.POST.get("scope", "").split())
        if client and not asked <= set(ApplicationScopes().get_available_scopes(client)):
            return token_error("invalid_scope", "The app may not ask for this scope.")
        resources = request.POST.getlist("resource")
        if problem := problem_with_resources(resources):
            return token_error("invalid_target", problem)
        response = super().post(request, *args, **kwargs)
        if response.status_code == 200:
            code = json.loads(response.content)["device_code"]
            DeviceGrant.objects.filter(device_code=code).update(resource=resources)
        response["Cache-Control"] = "no-store"
        return challenged(response)


class UserCodeForm(DeviceGrantForm):
    """The code as a person types it, in whatever case and with whatever between the letters."""

    MISSING = "There is no such code, or it has expired. Look at the device again."

    def clean_user_code(self):
        code = keys.read_user_code(self.cleaned_data["user_code"])
        grants = DeviceGrant.objects.filter(user_code=code, expires__gt=timezone.now())
        grant = grants.filter(status=DeviceGrant.AUTHORIZATION_PENDING).first()
        if grant is None:  # used, expired and never made look alike: nothing is to be found out
            raise ValidationError(self.MISSING, code="incorrect_user_code")
        self.cleaned_data["device_grant"] = grant
        return code


class UserCodeView(views.DeviceUserCodeView):
    """Where a person types the code (§3.3), a few times; `?user_code=` fills it in (§3.3.1)."""

    form_class = UserCodeForm

    def post(self, request, *args, **kwargs):
        waits = [
            CODES_BY_PERSON.spend(request.user.pk),
            CODES_BY_ADDRESS.spend(request.META.get("REMOTE_ADDR", "")),
        ]
        if not any(waits):
            return super().post(request, *args, **kwargs)
        form = self.get_form()
        form.full_clean()
        form.errors.clear()
        minutes = math.ceil(max(waits) / 60)
        form.add_error(None, f"That were too many codes; try again in {minutes} minutes.")
        response = self.render_to_response(self.get_context_data(form=form), status=429)
        response["Retry-After"] = str(max(waits))
        return response


class ConfirmView(views.DeviceConfirmView):
    """The person looks at who asks for what, and decides (§3.3)."""

    def get_object(self):
        grant = super().get_object()
        if timezone.now() >= grant.expires:
            raise Http404
        return grant

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        sentences = get_scopes_backend().get_all_scopes()
        context["scopes"] = [
            {
                "name": scope,
                "sentence": sentences[scope],
                "is_required": scope in REQUIRED_SCOPES,
                "is_ticked": True,
            }
            for scope in self.get_object().scope.split()
        ]
        return context | {"user_code": self.kwargs["user_code"], "allow_value": TICKED}

    def form_valid(self, form):
        grant, action = self.get_object(), form.cleaned_data["action"]
        asked = grant.scope.split()
        if action == TICKED:
            kept = {*self.request.POST.getlist("granted"), *REQUIRED_SCOPES}
            granted = [scope for scope in asked if scope in kept]
            if not granted:
                form.add_error(None, "Tick what it may do, or deny.")
                return self.form_invalid(form)
            grant.scope = " ".join(granted)
            grant.save(update_fields=["scope"])
            form.cleaned_data["action"] = action = "accept"
        if action == "accept":
            application = Application.objects.get(client_id=grant.client_id)
            granted = grant.scope.split()
            if Consent.objects.remember(self.request.user, application, asked, granted):
                tasks.tell_of_connection(self.request.user, application, granted)
        return super().form_valid(form)
