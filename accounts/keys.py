"""How keys, tokens, codes and client secrets look, and what the database keeps of them.

A key is `paw_<id>_<secret>`.  The id (12 characters) finds the row; the secret is 256 random bits
in 43 characters followed by a checksum in 6.  Tokens and client secrets are the same without an
id: `pawat_<secret>` an access token, `pawrt_` a refresh token, `pawrg_` a registration access
token (RFC 7592), `pawcs_` a client secret.  The prefix and the checksum let secret scanners
recognise them, and let the server refuse a mistyped one without asking the database.
"""

import hmac
import re
import secrets
import string
import zlib

from django.conf import settings

PREFIX = "paw_"
ACCESS_TOKEN, REFRESH_TOKEN, REGISTRATION_TOKEN = "pawat_", "pawrt_", "pawrg_"
CLIENT_SECRET = "pawcs_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PEM_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S)
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 12, 43, 6
PATTERN = re.compile(
    rf"{PREFIX}([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}})"
)
# What secret scanners look for, by what it is; RE2 reads these too.  Published.
PATTERNS = {
    "API key": r"\bpaw_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}\b",
    "access token": r"\bpawat_[0-9A-Za-z]{49}\b",
    "refresh token": r"\bpawrt_[0-9A-Za-z]{49}\b",
    "client secret": r"\bpawcs_[0-9A-Za-z]{49}\b",
    "registration access token": r"\bpawrg_[0-9A-Za-z]{49}\b",
}
CHECKSUM_RULE = (
    "The last six characters are a checksum of all the characters before them, the prefix "
    "included: their CRC-32 (the one of zlib and PNG) in base 62, with the digits 0-9, A-Z, a-z in "
    "this order, the most significant first, and zeros in front to make it six."
)
# In text of any kind: also where letters stand close by.
ANYWHERE = re.compile(r"paw(?:_[0-9A-Za-z]{12}|at|rt|cs|rg)_[0-9A-Za-z]{20,}")


def in_base_62(number, length):
    """Return the last `length` digits of `number` in base 62."""
    digits = ""
    while len(digits) < length:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


PAIRS = [in_base_62(number, 2) for number in range(len(ALPHABET) ** 2)]


def checksum(text):
    """Return the CRC-32 of `text` in six base-62 digits."""
    rest, last = divmod(zlib.crc32(text.encode()), len(PAIRS))
    first, middle = divmod(rest, len(PAIRS))
    return PAIRS[first] + PAIRS[middle] + PAIRS[last]


def generate():
    """Return a new `(key, key_id)`."""
    key_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    return generate_token(f"{PREFIX}{key_id}_"), key_id


def generate_token(prefix):
    """Return a new secret that begins with `prefix` and ends in its checksum."""
    # 62 ** 43 > 2 ** 256
    secret = secrets.randbelow(len(ALPHABET) ** SECRET_LENGTH)
    body = prefix + in_base_62(secret, SECRET_LENGTH)
    return body + checksum(body)


def generate_access_token(request=None):
    """ACCESS_TOKEN_GENERATOR of the toolkit."""
    return generate_token(ACCESS_TOKEN)


def generate_refresh_token(request=None):
    """REFRESH_TOKEN_GENERATOR of the toolkit."""
    return generate_token(REFRESH_TOKEN)


def generate_client_secret():
    return generate_token(CLIENT_SECRET)


def generate_user_code():
    """Return a code that a person types: eight consonants, 34 bits (RFC 8628 §6.1)."""
    code = "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"


def read_user_code(typed):
    """Return the code a person meant, whatever case, spaces and dashes they typed."""
    code = "".join(c for c in typed.upper() if c in USER_CODE_ALPHABET)
    return f"{code[:4]}-{code[4:]}"


class ClientSecretGenerator:
    """CLIENT_SECRET_GENERATOR_CLASS of the toolkit."""

    def hash(self):
        return generate_client_secret()


def is_mistyped(token):
    """Return whether `token` has the prefix of our access tokens and not their checksum."""
    return token.startswith(ACCESS_TOKEN) and not adds_up(token)


def adds_up(secret):
    """Return whether `secret` ends in its checksum."""
    return checksum(secret[:-CHECKSUM_LENGTH]) == secret[-CHECKSUM_LENGTH:]


def parse(key):
    """Return the id of a well-formed key whose checksum is right, else None.  No query."""
    match = PATTERN.fullmatch(key)
    if match is None or not adds_up(key):
        return None
    return match[1]


def mask(credential):
    """Return what of a credential may be shown: enough to tell it from others, too little to use.

    A key's public id, the last four characters of anything else.
    """
    if match := PATTERN.fullmatch(credential):
        return f"{PREFIX}{match[1]}_…"
    prefix, _, secret = credential.rpartition("_")
    return f"{prefix}_…{secret[-4:]}"


def hide(text):
    """Return `text` with every credential of ours in it masked."""
    return ANYWHERE.sub(lambda match: mask(match[0]), text)


def make_signing_key():
    """Return a new RSA key for id_tokens, as PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def current_pepper():
    """Return the number of the pepper that new secrets are stored under."""
    return max(settings.CREDENTIAL_PEPPERS)


def digest(secret, pepper):
    """Return the HMAC-SHA256 of `secret` under pepper number `pepper`, in hex; None without it.

    A fast hash is right here: the secret is random, so there is nothing to guess faster.
    """
    pepper = settings.CREDENTIAL_PEPPERS.get(int(pepper))
    if pepper is None:
        return None
    return hmac.digest(pepper.encode(), secret.encode(), "sha256").hex()
