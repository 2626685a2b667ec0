"""How often a caller may call: one budget for each, told in the headers of every answer."""

from rest_framework.exceptions import APIException, Throttled

from accounts.authentication import caller
from accounts.throttling import limit, neighbourhood

# Why it is 429, by the name of the budget in RATE_LIMITS.
SAID = {
    "credential": "You may call {} times in {} seconds.",
    "anonymous": "Without a credential, an address may call {} times in {} seconds.",
    "refused": "An address may call {} times in {} seconds with what is no valid credential.",
}


def charge(request):
    """Find out who calls, and spend one of their budget; Throttled where none was left.

    A credential that does not hold is at the expense of the address that it came from, and of
    nobody else's: whoever has a good one goes on from there, and its owner elsewhere.
    """
    try:
        request.user  # noqa: B018
    except APIException:
        spend(request, "refused", neighbourhood(request.META["REMOTE_ADDR"]))
        raise
    who = caller(request)
    spend(request, "anonymous" if who[0] == "address" else "credential", who)


def spend(request, name, identity):
    budget = limit(name)
    charged = request._charge = budget and budget.charge(identity)
    if charged and charged.wait:
        raise Throttled(charged.wait, SAID[name].format(f"{budget.amount:,}", budget.seconds))


def refund(request, response):
    """Give back what the request was charged, if it was, and tell it in `response`."""
    if request._charge:
        request._charge = request._charge.refunded()
        tell(request, response)


def tell(request, response):
    """Write what is left into the headers of `response`: nothing where nothing is counted."""
    if charged := getattr(request, "_charge", None):
        for name, value in charged.headers().items():
            response.headers[name] = value
