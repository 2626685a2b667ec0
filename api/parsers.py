"""How a JSON body is read (RFC 8259)."""

import json

from rest_framework import parsers
from rest_framework.exceptions import ParseError


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


# Made once: it takes longer than to read a pet.
decoder = json.JSONDecoder(parse_constant=refuse_constant)


class JSONParser(parsers.JSONParser):
    """UTF-8 whatever the charset says (RFC 8259 §8.1); depth is bounded; NaN is refused."""

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            text = stream.read().decode()
            if text.startswith("\ufeff"):
                raise ParseError("The body is not JSON: it begins with a byte order mark.")
            return decoder.decode(text)
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}.") from None
