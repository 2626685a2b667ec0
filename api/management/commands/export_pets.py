"""Export pets as CSV or NDJSON, private ones too: what import_pets reads, oldest first."""

import contextlib
import os
import sys
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from accounts.models import User
from api import formats
from api.models import Pet
from api.serializers import PetSerializer


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("file", nargs="?", default="-", help="Standard output unless given.")
        parser.add_argument("--owner", help="A username; everybody's pets unless given.")
        parser.add_argument(
            "--format",
            choices=formats.WRITERS,
            help="Unless the file's name ends in it; csv on standard output.",
        )

    def handle(self, *, file, owner, format, **options):
        suffix = ".csv" if file == "-" else Path(file).suffix.lower()
        kind = format or formats.SUFFIXES.get(suffix)
        if kind is None:
            raise CommandError(f"Say the --format of {file}: {' or '.join(formats.WRITERS)}.")
        pets = Pet.objects.with_owner().order_by("id")
        if owner is not None:
            try:
                pets = pets.filter(owner=User.objects.get_by_natural_key(owner))
            except User.DoesNotExist:
                raise CommandError(f"There is no user {owner!r}.") from None
        serializer = PetSerializer()
        del serializer.fields["url"]  # an address needs a request to be relative to
        try:
            with self.opened(file) as output, progress_bar(pets, file) as bar:
                rows = map(serializer.to_representation, bar)
                formats.write(rows, kind, output, list(serializer.fields))
                output.flush()
        except BrokenPipeError:  # such as `export_pets | head`
            # Python flushes stdout once more at the end, and would complain there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}.") from None

    def opened(self, file):
        if file != "-":
            return open(file, "w", encoding="utf-8", newline="")
        with contextlib.suppress(AttributeError):  # where stdout is not the process's own
            self.stdout.reconfigure(encoding="utf-8", newline="")
        return contextlib.nullcontext(self.stdout)


def progress_bar(pets, file):
    # None on stdout too, where that is the same terminal: it would stand between the pets.
    hidden = True if file == "-" and sys.stdout.isatty() else None
    return tqdm(pets.iterator(), total=pets.count(), unit=" pets", disable=hidden)
