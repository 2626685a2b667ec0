"""Import pets from CSV or NDJSON: good lines are kept, bad ones are named on stderr.

Run again with the same file it changes nothing.  The exit status is 0 when every line was good,
and 1 when one was not.
"""

import contextlib
import sys
import time
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from tqdm import tqdm

from accounts.models import User
from api import formats
from api.imports import Import


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("file", help="A path, or - for standard input.")
        parser.add_argument("--owner", required=True, help="The username whose pets they become.")
        parser.add_argument(
            "--format", choices=formats.READERS, help="Unless the file's name ends in it."
        )

    def handle(self, *, file, owner, format, **options):
        kind = format or formats.SUFFIXES.get(Path(file).suffix.lower())
        if kind is None:
            raise CommandError(f"Say the --format of {file}: {' or '.join(formats.READERS)}.")
        try:
            owner = User.objects.get_by_natural_key(owner)
        except User.DoesNotExist:
            raise CommandError(f"There is no user {owner!r}.") from None
        run = Import(owner, self.report)
        start = time.monotonic()
        try:
            with opened(file) as stream, progress_bar(stream) as bar:
                rows = formats.read(stream, kind, run.serializer.fields)
                run.run(watched(rows, stream, bar))
        except formats.UnreadableFileError as error:
            raise CommandError(f"{file}: {error} {kept(run)}") from None
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}. {kept(run)}") from None
        except DatabaseError as error:
            raise CommandError(f"The database gave up: {error}. {kept(run)}") from error
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {kept(run)}") from None
        seconds = time.monotonic() - start
        self.stdout.write(
            f"{run.counts}, in {seconds:.1f} s ({run.counts.rows / seconds:,.0f} rows/s)"
        )
        if run.counts.bad:
            raise CommandError(f"Bad lines, which were not imported: {run.counts.bad:,}.")

    def report(self, line, reason):
        with tqdm.external_write_mode(file=sys.stderr):
            self.stderr.write(f"line {line}: {reason}")


def kept(run):
    """Return what an import that ends early leaves behind."""
    if run.counts.created or run.counts.updated:
        return f"Kept of what came before: {run.counts}; run it again to go on."
    return "Nothing was imported."


def opened(file):
    return contextlib.nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")


def progress_bar(stream):
    """A bar on stderr where that is a terminal: bytes of a file, rows of a pipe."""
    if not stream.seekable():
        return tqdm(unit=" rows", disable=None)
    size = stream.seek(0, 2)
    stream.seek(0)
    return tqdm(total=size, unit="B", unit_scale=True, disable=None)


def watched(rows, stream, bar):
    for count, row in enumerate(rows, 1):
        yield row
        if count % 1000 == 0:
            bar.update((stream.tell() if bar.total else count) - bar.n)
    bar.update((bar.total or bar.n) - bar.n)
