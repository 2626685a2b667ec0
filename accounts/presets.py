"""The kinds of app a person can register, and what the form asks for each."""

from dataclasses import dataclass

from .models import Application

CODE = Application.GRANT_AUTHORIZATION_CODE
DEVICE = Application.GRANT_DEVICE_CODE
MACHINE = Application.GRANT_CLIENT_CREDENTIALS

GRANT_TYPES = {
    CODE: "Authorization code: people agree in their browser, and it comes back with a code.",
    DEVICE: "Device code: it shows a code, which people type on another device.",
    MACHINE: "Client credentials: it also acts for itself, and then reads what is public.",
}
# What scopes are for an app that acts for itself: there is no person whose things it would see.
FOR_ITSELF = {"pets:read": "See the pets that anybody may see"}


@dataclass(frozen=True)
class Preset:
    """What one kind of app is: its client type and grant types, and the fields it needs."""

    name: str
    title: str
    sentence: str
    flow: str
    client_type: str
    grant_type: str
    more_grant_types: tuple = ()
    asks: frozenset = frozenset()
    redirect_help: str = ""
    redirect_example: str = "https://app.example.org/callback"

    @property
    def is_confidential(self):
        return self.client_type == Application.CLIENT_CONFIDENTIAL

    @property
    def may_have_own_scheme(self):
        """Whether it may be sent to a private-use scheme (RFC 8252 §7.1)."""
        return self.name == "native"

    @property
    def acts_for_itself(self):
        """Whether it never meets people: nobody lets it in, and it can change nothing."""
        return self.grant_type == MACHINE

    def offers_scope(self, name):
        return name.endswith(":read") or not self.acts_for_itself

    def sentence_of(self, name, sentence):
        """Return what the scope lets such an app do, where people read `sentence`."""
        return FOR_ITSELF.get(name, sentence) if self.acts_for_itself else sentence


EXACT = "One a line. What the app sends must be one of these, letter for letter: https, without #."
WHILE_DEVELOPING = "While you develop: http on localhost, 127.0.0.1 or [::1]."
ALL = [
    Preset(
        name="web",
        title="Web server app",
        sentence="A site with a server of its own, which can keep a secret. People sign in and "
        "agree; it acts for them.",
        flow="Authorization code with PKCE and a secret, refresh tokens",
        client_type=Application.CLIENT_CONFIDENTIAL,
        grant_type=CODE,
        more_grant_types=(DEVICE, MACHINE),
        asks=frozenset({"redirect_uris", "post_logout_redirect_uris"}),
        redirect_help=f"{EXACT} {WHILE_DEVELOPING}",
    ),
    Preset(
        name="browser",
        title="Browser app",
        sentence="A page in JavaScript that calls the API from where it is served. It runs in the "
        "open, so it has no secret.",
        flow="Authorization code with PKCE, from its own origin",
        client_type=Application.CLIENT_PUBLIC,
        grant_type=CODE,
        asks=frozenset({"redirect_uris", "post_logout_redirect_uris", "allowed_origins"}),
        redirect_help=f"{EXACT} {WHILE_DEVELOPING}",
    ),
    Preset(
        name="native",
        title="Native or command-line app",
        sentence="Installed on people's phones or computers. It opens their browser and waits "
        "there for the answer; it has no secret.",
        flow="Authorization code with PKCE, back to the device itself",
        client_type=Application.CLIENT_PUBLIC,
        grant_type=CODE,
        more_grant_types=(DEVICE,),
        asks=frozenset({"redirect_uris", "post_logout_redirect_uris"}),
        # RFC 8252 §8.3: localhost may be another's, so its port is not left open.
        redirect_help="One a line: http on 127.0.0.1 or [::1], where any port will do; http on "
        "localhost, with the port; a scheme named after a domain of yours, such as "
        "org.example.app:/callback; or https. Apart from that port, what the app sends must be "
        "one of these, letter for letter.",
        redirect_example="http://127.0.0.1/callback",
    ),
    Preset(
        name="device",
        title="Device",
        sentence="A feeder, a television, a collar station: something without keyboard or browser. "
        "It shows a code that people type on their phone.",
        flow="Device code, refresh tokens",
        client_type=Application.CLIENT_PUBLIC,
        grant_type=DEVICE,
    ),
    Preset(
        name="machine",
        title="Machine",
        sentence="A service that acts for itself and for nobody else. It reads what is public; "
        "nobody is asked.",
        flow="Client credentials: a secret, no person",
        client_type=Application.CLIENT_CONFIDENTIAL,
        grant_type=MACHINE,
    ),
]
PRESETS = {preset.name: preset for preset in ALL}


def preset_of(application):
    """Return the Preset that `application` is of, whoever registered it."""
    if application.is_confidential:
        return PRESETS["machine" if application.authorization_grant_type == MACHINE else "web"]
    if application.authorization_grant_type == DEVICE:
        return PRESETS["device"]
    return PRESETS["browser" if application.allowed_origins else "native"]
