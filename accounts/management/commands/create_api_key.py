"""Make an API key for a user: the key is printed once, alone on stdout."""

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.models import ApiKey, User


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="What the key is for.")
        parser.add_argument("--scope", required=True, help='Such as "pets:read pets:write".')
        parser.add_argument(
            "--expires-in-days", type=int, default=90, help="1 to 366; 90 unless said."
        )
        parser.add_argument(
            "--allowed-ip",
            action="append",
            default=[],
            help="An address or network the key may come from; may be given more than once.",
        )

    def handle(self, *, username, name, scope, expires_in_days, allowed_ip, **options):
        try:
            user = User.objects.get_by_natural_key(username)
        except User.DoesNotExist:
            raise CommandError(f"There is no user {username!r}.") from None
        if not user.is_active:
            raise CommandError(f"The user {username!r} is switched off.")
        most = ApiKey.MAXIMUM_LIFETIME.days
        if not 1 <= expires_in_days <= most:
            raise CommandError(f"A key lives from 1 to {most} days, not {expires_in_days}.")
        try:
            api_key, key = ApiKey.objects.create_key(
                user, name, scope.split(), timedelta(days=expires_in_days), allowed_ip
            )
        except ValidationError as error:
            if not hasattr(error, "error_dict"):  # it concerns no field: there is no room
                raise CommandError(" ".join(error.messages)) from None
            raise CommandError(
                "; ".join(f"{field}: {' '.join(m)}" for field, m in error.message_dict.items())
            ) from None
        self.stderr.write(f"{name}: {scope}, until {api_key.expires_at:%Y-%m-%d}. Shown once:")
        self.stdout.write(key)
