"""System checks: credentials that could not be kept safe are found at start, not at midnight."""

from django.conf import settings
from django.core.checks import Error, register


@register("security")
def check_peppers(app_configs, **kwargs):
    peppers = settings.CREDENTIAL_PEPPERS
    if not peppers or any(number < 1 or len(pepper) < 32 for number, pepper in peppers.items()):
        return [
            Error(
                "CREDENTIAL_PEPPERS holds a pepper that is missing, unnumbered or too short.",
                hint='Write "1:<at least 32 random characters>", separated by commas.',
                id="accounts.E001",
            )
        ]
    return []
