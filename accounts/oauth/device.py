"""The device authorization grant (RFC 8628): a device without a keyboard borrows the person's."""

import json
import math

from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.utils import timezone
from oauth2_provider import views
from oauth2_provider.scopes import get_scopes_backend
from oauth2_provider.views.device import DeviceGrantForm

from .. import keys
from ..models import Application, DeviceGrant
from ..throttling import Budget, neighbourhood
from . import consent, metadata_documents
from .requests import challenged, keep, presented_client, token_error
from .validator import problem_with_resources

# RFC 8628 §5.1: a code has 34 bits and half an hour; a person types a handful in that time.
CODES_BY_PERSON = Budget("user-code", 10, 10 * 60)
DEVICES = Budget("device-authorization", 600, 10 * 60)
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
        if wait := DEVICES.spend(neighbourhood(request.META["REMOTE_ADDR"])):
            response = token_error("slow_down", "Too many device codes; try later.", 429)
            response["Retry-After"] = str(wait)
            return response
        scopes = dict.fromkeys(request.POST.get("scope", "").split())
        if scopes:
            request.POST["scope"] = " ".join(scopes)
        asked = set(scopes)
        if client and not asked <= set(get_scopes_backend().get_available_scopes(client)):
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
        grant = pending(user_code=code).first()
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
            CODES_BY_ADDRESS.spend(neighbourhood(request.META["REMOTE_ADDR"])),
        ]
        if not any(waits):
            return super().post(request, *args, **kwargs)
        form = self.get_form()
        form.full_clean()
        form.errors.clear()
        minutes = math.ceil(max(waits) / 60)
        again = f"{minutes} minutes" if minutes > 1 else "a minute"
        form.add_error(None, f"Too many codes were tried; try again in {again}.")
        response = self.render_to_response(self.get_context_data(form=form), status=429)
        response["Retry-After"] = str(max(waits))
        return response

    def form_valid(self, form):
        self.device_grant = form.cleaned_data["device_grant"]
        # Only while nobody has decided: whoever is written here is who decides.
        if not pending(pk=self.device_grant.pk).update(user=self.request.user):
            form.add_error("user_code", UserCodeForm.MISSING)
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())


class ConfirmView(views.DeviceConfirmView):
    """The person looks at who asks for what, and decides (§3.3)."""

    def get_object(self):
        grant = super().get_object()
        if timezone.now() >= grant.expires:
            raise Http404
        return grant

    def get_context_data(self, **kwargs):
        rows = consent.rows(self.get_object().scope.split())
        more = {"scopes": rows, "allow_value": consent.TICKED}
        return super().get_context_data(**kwargs) | more | {"user_code": self.kwargs["user_code"]}

    def form_valid(self, form):
        grant, action = self.get_object(), form.cleaned_data["action"]
        if action == "deny":
            self.decide(grant, status=DeviceGrant.DENIED)
            return HttpResponseRedirect(self.get_success_url())
        if action not in {"accept", consent.TICKED}:
            return HttpResponseBadRequest()
        asked = grant.scope.split()
        granted = consent.granted(asked, action, self.request.POST)
        if asked and not granted:
            form.add_error(None, "Tick what it may do, or deny.")
            return self.form_invalid(form)
        application = get_object_or_404(Application, client_id=grant.client_id)
        with transaction.atomic():
            self.decide(grant, status=DeviceGrant.AUTHORIZED, scope=" ".join(granted))
            consent.remember(self.request.user, application, asked, granted)
        return HttpResponseRedirect(self.get_success_url())

    def decide(self, grant, **fields):
        """Write the decision where there is none yet, and the code is still this person's: somebody
        else may have typed it meanwhile, and must not get what they did not agree to."""
        if not pending(pk=grant.pk, user=self.request.user).update(**fields):
            raise Http404


def pending(**filters):
    """Return the device grants that nobody has decided about, and that have not expired."""
    return DeviceGrant.objects.filter(
        status=DeviceGrant.AUTHORIZATION_PENDING, expires__gt=timezone.now(), **filters
    )
