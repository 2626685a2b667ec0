"""System checks: credentials that could not be kept safe are found at start, not at midnight."""

from django.conf import settings
from django.core.checks import Error, register
from oauth2_provider.utils import jwk_from_pem


@register("security")
def check_signing_key(app_configs, **kwargs):
    oauth = settings.OAUTH2_PROVIDER
    try:
        for pem in (oauth["OIDC_RSA_PRIVATE_KEY"], *oauth["OIDC_RSA_PRIVATE_KEYS_INACTIVE"]):
            jwk_from_pem(pem)
    except ValueError:
        return [
            Error(
                "OIDC_RSA_PRIVATE_KEY holds what is no private key.",
                hint="Give RSA keys in PEM, the one that signs first, or leave it unset to have "
                "one made under var/.",
                id="accounts.E002",
            )
        ]
    return []


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
