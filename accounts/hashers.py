"""A fast keyed hash for client secrets.

A slow hash protects what people choose; a client secret is 128 random characters, which nobody
guesses, and PBKDF2 would cost a quarter of a second of CPU for every token request.
"""

from django.contrib.auth.hashers import BasePasswordHasher
from django.utils.crypto import constant_time_compare

from . import keys


class ClientSecretHasher(BasePasswordHasher):
    """HMAC-SHA256 under a numbered pepper: `hmac_sha256$<pepper>$<salt>$<hex digest>`."""

    algorithm = "hmac_sha256"

    def encode(self, password, salt, pepper=None):
        pepper = pepper or keys.current_pepper()
        digest = keys.digest(f"{salt}${password}", pepper)
        return f"{self.algorithm}${pepper}${salt}${digest}"

    def decode(self, encoded):
        algorithm, pepper, salt, digest = encoded.split("$")
        return {"algorithm": algorithm, "pepper": pepper, "salt": salt, "hash": digest}

    def verify(self, password, encoded):
        parts = self.decode(encoded)
        expected = self.encode(password, parts["salt"], parts["pepper"])
        return parts["hash"] != "None" and constant_time_compare(encoded, expected)

    def safe_summary(self, encoded):
        parts = self.decode(encoded)
        return {"algorithm": parts["algorithm"], "hash": f"{parts['hash'][:6]}…"}

    def harden_runtime(self, password, encoded):
        """Nothing to even out: the hash takes the same time for every secret."""
