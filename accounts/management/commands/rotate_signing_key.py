"""Sign id_tokens with a new key; the one before it is still published, for what it signed.

Restart the servers afterwards: each reads the keys when it starts.  An id_token lives a quarter of
an hour and clients keep the keys for an hour, so a key may go with the rotation after.
"""

import os

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import keys

KEPT = 2  # the one that signs, and the one before it


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        if os.environ.get("OIDC_RSA_PRIVATE_KEY"):
            raise CommandError(
                "The keys come from OIDC_RSA_PRIVATE_KEY: put a new one before the others there."
            )
        path = settings.VAR_DIR / "oidc_signing_key.pem"
        pems = [keys.make_signing_key(), *keys.PEM_KEY.findall(path.read_text())][:KEPT]
        # Written beside it and moved: a server that starts just now reads the old or the new.
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(pem.strip() for pem in pems) + "\n")
        new.replace(path)
        self.stdout.write("A new key signs id_tokens once the servers are started again.")
