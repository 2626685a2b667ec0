"""Count pets and breeds anew."""

from django.core.management.base import BaseCommand
from django.db import connection, transaction

from api.counts import recount


class Command(BaseCommand):
    help = (
        "Count pets and breeds anew. The database keeps the counts right by itself; this is for "
        "afterwards where it could not: `loaddata` of counts besides pets, TRUNCATE, a restore "
        "without triggers."
    )

    def handle(self, *args, **options):
        with transaction.atomic(), connection.cursor() as cursor:
            recount(cursor)
            cursor.execute("SELECT coalesce(sum(number), 0) FROM api_petcount WHERE owner = 0")
            self.stdout.write(f"{cursor.fetchone()[0]:,} pets are counted.")
