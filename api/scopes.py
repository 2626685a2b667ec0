"""The vocabulary of scopes: what a token or key may do, with the sentence a person reads.

Plain data without imports: settings, consent page, key command, schema and docs all read it.
A scope is `object:action`; writing does not include reading.
"""

SCOPES = {
    "email": "See your e-mail address",
    "openid": "Know who you are, so that you can sign in with Pawprint",
    "pets:read": "See the pets you can see, your private ones included",
    "pets:write": "Register, change and remove your pets",
    "profile": "See your profile: user name and display name",
    "users:read": "See people's public profiles",
    "users:write": "Change your profile: display name and bio",
}

# What an app gets that asks for no scope and has no default of its own.
DEFAULT_SCOPES = ["pets:read", "users:read"]
