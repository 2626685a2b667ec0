"""A person with a browser, for a shell: `python -m tests.person agree ADDRESS`.

Prints the code that the app gets, or with `device` lets in the device that shows CODE at ADDRESS.
PAWPRINT_URL is the server, PAWPRINT_PASSWORD that of its demo's first user.
"""

import os
import sys
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

from .foreign_clients.person import Person


def main(action, address, code=None):
    server = SimpleNamespace(
        url=os.environ["PAWPRINT_URL"], password=os.environ["PAWPRINT_PASSWORD"]
    )
    person = Person(server)
    if action == "device":
        person.let_device_in(address, code)
    else:
        print(parse_qs(urlsplit(person.agree(address)).query)["code"][0])  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
