"""The authorization endpoint (RFC 6749 §3.1, OpenID Connect Core §3.1.2): who asks for what,
and what the person says."""

import time
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.db import IntegrityError, transaction
from django.http import HttpResponseRedirect, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import FormView
from oauth2_provider.exceptions import FatalClientError, OAuthToolkitError
from oauth2_provider.forms import AllowForm
from oauth2_provider.http import OAuth2ResponseRedirect
from oauth2_provider.views.mixins import OAuthLibMixin
from oauthlib.oauth2.rfc6749 import errors
from oauthlib.openid.connect.core import exceptions as openid_errors

from ..models import LOOPBACK_HOSTS, Application, Consent
from ..sessions import signed_in_at
from . import consent, metadata_documents
from .openid import read_id_token
from .requests import plain, repeated, see_other, token_error
from .validator import invalid_target, problem_with_resources

LONGEST_NONCE = 255
LONGEST_SIGN_IN = 600  # seconds, from being asked for it to having done it
NOT_SUPPORTED = {
    "registration": openid_errors.RegistrationNotSupported,
    "request": openid_errors.RequestNotSupported,
    "request_uri": openid_errors.RequestURINotSupported,
}
CARRIED = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method"),
)


class ConsentForm(AllowForm):
    """The authorization request, carried through the page in hidden fields."""

    claims = None  # ignored: claims go by scope

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("state", "nonce"):
            self.fields[name].strip = False  # the client gets back what it sent


@method_decorator(csrf_exempt, name="dispatch")
class AuthorizationView(OAuthLibMixin, FormView):
    """The consent page; `get` and `form_valid` list the steps.

    An error about the client or its redirect URI is shown to the person; any other is told to the
    client at its redirect URI (RFC 6749 §4.1.2.1), and names its issuer (RFC 9207 §2).
    """

    http_method_names = ["get", "post", "head", "options"]
    template_name = "oauth2_provider/authorize.html"
    form_class = ConsentForm

    def dispatch(self, request, *args, **kwargs):
        self.here = request.get_full_path()  # before the toolkit's query is cut down
        forged = request.method == "POST" and check_csrf(request)
        if forged and not {"allow", "csrfmiddlewaretoken"} & request.POST.keys():
            # Not an answer but a request, which an app may POST (OpenID Connect Core §3.1.2.1).
            # The browser keeps the session's cookie from a POST of another site, so it comes
            # again as a GET.
            return see_other(f"{request.path}?{request.POST.urlencode()}")
        return forged or super().dispatch(request, *args, **kwargs)

    @staticmethod
    def refuse_form(error, description):
        """What no client may send, shown to the person."""
        context = {"error": {"error": error, "description": description}}
        return render(None, AuthorizationView.template_name, context, status=400)

    def get(self, request, *args, **kwargs):
        twice = repeated(request.GET)
        if {"client_id", "redirect_uri"} & set(twice):  # nobody knows whom to tell
            return self.refuse_form("invalid_request", f"{twice[0]} is there twice.")
        request.META["QUERY_STRING"] = understood(request.GET).urlencode()
        metadata_documents.refresh(request.GET.get("client_id", ""), request.META["REMOTE_ADDR"])
        try:
            scopes, credentials = self.validate_authorization_request(request)
        except OAuthToolkitError as error:
            return self.refuse_request(error)
        if "openid" in scopes and "redirect_uri" not in request.GET:
            return self.refuse_form("invalid_request", "OpenID Connect wants the redirect_uri.")
        asked = {name: credentials.get(name) or "" for name in CARRIED}
        asked |= {
            "scope": " ".join(dict.fromkeys(scopes)),
            "resource": request.GET.getlist("resource"),
        }
        application = Application.objects.select_related("user").get(client_id=asked["client_id"])
        prompt = set(request.GET.get("prompt", "").split())
        try:
            if twice:
                raise errors.InvalidRequestError(description=f"{plain(twice[0])} is there twice.")
            self.refuse_what_is_not_done(asked, prompt)
            if not request.user.is_authenticated:
                return self.sign_in(prompt)
            if self.must_sign_in_again(prompt):
                return self.sign_in_again(prompt)
            if self.is_remembered(application, asked, prompt):
                return self.answer(application, asked)
            if "none" in prompt:
                raise openid_errors.ConsentRequired
        except errors.OAuth2Error as error:
            return self.refuse(error, application, asked)
        return self.ask(application, asked)

    def form_valid(self, form):
        """The person decided."""
        self.request.META["QUERY_STRING"] = ""  # the form has it all
        if not self.request.user.is_authenticated:
            return redirect_to_login(self.here, settings.LOGIN_URL)
        asked = {name: form.cleaned_data.get(name) or "" for name in CARRIED}
        asked["resource"] = form.cleaned_data["resource"].split()
        application = Application.objects.filter(client_id=asked["client_id"]).first()
        if application is None:
            return self.form_invalid(form)
        if not form.cleaned_data["allow"]:
            return self.refuse(errors.AccessDeniedError(), application, asked)
        scopes = asked["scope"].split()
        granted = consent.granted(scopes, self.request.POST["allow"], self.request.POST)
        if not granted:
            return self.ask(application, asked, problem="Tick what it may do, or deny.")
        try:
            if problem := problem_with_resources(asked["resource"]):
                raise invalid_target(problem)
            with transaction.atomic():
                response = self.answer(application, asked | {"scope": " ".join(granted)})
                if "code" in parse_qs(urlsplit(response.get("Location", "")).query):
                    consent.remember(self.request.user, application, scopes, granted)
        except errors.OAuth2Error as error:
            return self.refuse(error, application, asked)
        except IntegrityError:  # the app was deleted just now
            return self.form_invalid(form)
        return response

    def form_invalid(self, form):
        # The form is hidden fields: what is wrong with it was not the person's doing.
        return token_error("invalid_request", "The consent form was changed on its way.")

    # --- Before the person is asked ------------------------------------------------------------

    def refuse_what_is_not_done(self, asked, prompt):
        """Raise the error for what this server does not do (OpenID Connect Core §3.1.2.6)."""
        query = self.request.GET
        for name, error in NOT_SUPPORTED.items():
            if name in query:
                raise error
        if query.get("response_mode", "query") != "query":
            raise errors.InvalidRequestError(description="response_mode can be query only.")
        if "none" in prompt and len(prompt) > 1:
            raise errors.InvalidRequestError(description="prompt=none stands alone.")
        if len(asked["nonce"]) > LONGEST_NONCE:
            raise errors.InvalidRequestError(description="nonce is longer than 255 characters.")
        max_age = query.get("max_age", "0")
        if not (max_age.isascii() and max_age.isdecimal() and len(max_age) < 12):
            raise errors.InvalidRequestError(description="max_age is a number of seconds.")
        if problem := problem_with_resources(asked["resource"]):
            raise invalid_target(problem)

    def sign_in(self, prompt):
        if "none" in prompt:
            raise openid_errors.LoginRequired
        return redirect_to_login(self.here, settings.LOGIN_URL)

    def must_sign_in_again(self, prompt):
        """Return whether the sign-in is too old, or wanted anew; once is enough per request.

        Raises LoginRequired where the client means somebody else (OpenID Connect Core §3.1.2.2).
        """
        query, session = self.request.GET, self.request.session
        if hint := query.get("id_token_hint"):
            claims = read_id_token(hint)
            if claims is None or claims.get("sub") != str(self.request.user.pk):
                raise openid_errors.LoginRequired
        since = signed_in_at(self.request)
        too_old = "max_age" in query and time.time() - since > int(query["max_age"])
        if not too_old and "login" not in prompt:
            return False
        # Since when it is wanted is kept with the session, not in the address, where whoever sits
        # in front of the browser could strike it out.
        this = sha256(query.urlencode().encode()).hexdigest()
        wanted_since = session.get("sign_in_wanted", {}).get(this, 0)
        is_recent = time.time() - wanted_since < LONGEST_SIGN_IN
        if is_recent and since >= wanted_since:
            del session["sign_in_wanted"]
            return False
        session["sign_in_wanted"] = {this: time.time()}
        return True

    def sign_in_again(self, prompt):
        if "none" in prompt:
            raise openid_errors.LoginRequired
        query = urlencode({"next": self.here})
        return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{query}")

    def is_remembered(self, application, asked, prompt):
        """Return whether the person agreed to as much before and need not be asked again."""
        if prompt & {"consent", "select_account"}:
            return False
        if application.skip_authorization:
            return True
        if not is_certainly(application, asked["redirect_uri"]):
            return False
        theirs = Consent.objects.filter(user=self.request.user, application=application).first()
        return theirs is not None and theirs.covers(asked["scope"].split())

    # --- The page and the answers --------------------------------------------------------------

    def ask(self, application, asked, problem=""):
        """Show the page; again, with the problem and what was ticked, where there is one."""
        ticked = self.request.POST.getlist("granted")
        target = urlsplit(asked["redirect_uri"])
        is_web = target.scheme in {"http", "https"}
        initial = asked | {"resource": " ".join(asked["resource"])}
        return self.render_to_response(
            {
                "form": self.form_class(initial=initial),
                "application": application,
                "redirect_host": target.netloc if is_web else f"{target.scheme}:",
                "is_local": target.hostname in LOOPBACK_HOSTS or not is_web,
                "scopes": consent.rows(asked["scope"].split(), ticked if problem else None),
                "problem": problem,
                "here": self.here,
                "allow_value": consent.TICKED,
            },
            status=400 if problem else 200,
        )

    def answer(self, application, asked):
        """Send the code, or the error of a request that does not hold."""
        signed_in = datetime.fromtimestamp(signed_in_at(self.request), UTC)
        try:
            uri, *_ = self.create_authorization_response(
                self.request,
                scopes=asked["scope"],
                credentials={k: v or None for k, v in asked.items() if k != "scope"}
                | {"auth_time": signed_in},
                allow=True,
            )
        except FatalClientError as error:
            return self.refuse_request(error)
        except OAuthToolkitError as error:
            raise error.oauthlib_error from None
        return self.redirect(uri, application)

    def refuse(self, error, application, asked):
        """Tell the client at its redirect URI, which was found to be its own."""
        if self.must_sign_in_first():
            return redirect_to_login(self.here, settings.LOGIN_URL)
        if not application.redirect_uri_allowed(asked["redirect_uri"]):
            return self.refuse_request(FatalClientError(errors.MismatchingRedirectURIError()))
        error.state = error.state or asked["state"]
        return self.redirect(error.in_uri(asked["redirect_uri"]), application)

    def refuse_request(self, error):
        """Tell the client where that is safe, else the person: 400 and no redirect."""
        oauth_error = error.oauthlib_error
        application = Application.objects.filter(client_id=oauth_error.client_id or "").first()
        if isinstance(error, FatalClientError) or application is None:
            # Of a metadata document its author learns what is wrong with it.
            client_id = self.request.GET.get("client_id", "")
            oauth_error.description = (
                metadata_documents.problem_with(client_id) or oauth_error.description
            )
            return self.render_to_response({"error": oauth_error}, status=400)
        if self.must_sign_in_first():
            return redirect_to_login(self.here, settings.LOGIN_URL)
        return self.redirect(oauth_error.in_uri(oauth_error.redirect_uri), application)

    def must_sign_in_first(self):
        """Return whether nobody may be sent on yet: anybody can register an app and make a link
        that leads to it by way of an error (RFC 9700 §4.11.2)."""
        silent = "none" in self.request.GET.get("prompt", "").split()
        return not (silent or self.request.user.is_authenticated)

    def redirect(self, uri, application):
        # RFC 9207 §2: errors name their issuer too; the toolkit adds it to codes only.
        parts = urlsplit(uri)
        query = parse_qsl(parts.query, keep_blank_values=True)
        query = [(name, value) for name, value in query if name != "iss"]
        query.append(("iss", settings.PUBLIC_URL))
        uri = parts._replace(query=urlencode(query)).geturl()
        return OAuth2ResponseRedirect(uri, application.get_allowed_schemes())


def check_csrf(request):
    """Return the refusal of a POST that did not come from our own page, else None."""
    middleware = CsrfViewMiddleware(lambda request: None)
    middleware.process_request(request)
    return middleware.process_view(request, None, (), {})


def understood(query):
    """Return what the toolkit is to read of `query`: each parameter once, and none that it would
    make an attribute of and we decide about."""
    once = QueryDict(mutable=True)
    for name in CARRIED:
        if name in query:
            once[name] = query.getlist(name)[0]
    return once


def is_certainly(application, redirect_uri):
    """Return whether only `application` can have sent a request with this redirect URI.

    Without that nobody may be skipped over (RFC 6749 §10.2, RFC 8252 §8.6): any program can listen
    on loopback or claim a scheme.
    """
    target = urlsplit(redirect_uri)
    at_home = target.scheme == "https" and target.hostname not in LOOPBACK_HOSTS
    return application.is_confidential or at_home
