"""Count pets and breeds anew, and read what they are looked up by."""

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from api import counts, search


class Command(BaseCommand):
    help = (
        "Count pets and breeds anew, and read anew what their texts are looked up by. The database "
        "keeps both right by itself; this is for afterwards where it could not: `loaddata` of "
        "counts besides pets, TRUNCATE, a restore without triggers."
    )

    def handle(self, *args, **options):
        with transaction.atomic(), connection.cursor() as cursor:
            counts.recount(cursor)
            search.read_anew(cursor)
            cursor.execute("SELECT coalesce(sum(number), 0) FROM api_petcount WHERE owner = 0")
            self.stdout.write(f"{cursor.fetchone()[0]:,} pets are counted.")
