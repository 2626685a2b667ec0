"""A request as one would write it in a shell, in Python and in JavaScript.

Each sends exactly what it shows, whatever `url` and `body` hold.  `key` stands in it; without one
the environment's `KEY` does, and with None there is no key.
"""

import json
import shlex
import unicodedata
from textwrap import indent

KEY = "$KEY"
ONE_LINE = 60  # characters of an object that is not spread over lines
UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def first_path(scope):
    """Return the path of a list that `scope` may read, else of what tells who calls."""
    readable = [word for word in scope.split() if word.endswith(":read")]
    return f"/api/v1/{readable[0].removesuffix(':read') if readable else 'me'}/"


def snippets(method, url, body=None, key=KEY):
    """Return `[(language, code)]`."""
    return [
        ("curl", curl(method, url, body, key)),
        ("Python", python(method, url, body, key)),
        ("JavaScript", javascript(method, url, body, key)),
    ]


def curl(method, url, body=None, key=KEY):
    options = []
    if method == "HEAD":
        options.append("--head")
    elif method != "GET":
        options.append(f"-X {method}")
    if key:
        options.append(f'-H "X-API-Key: {key}"')
    if body is not None:
        options += ['-H "Content-Type: application/json"', f"-d {shlex.quote(literal(body))}"]
    return "curl " + " \\\n  ".join([*options, shlex.quote(url)])


def python(method, url, body=None, key=KEY):
    reads = has_answer(method)
    modules = ["json"] if reads or body is not None else []
    modules += ["os"] if key == KEY else []
    arguments = [text(url)]
    if method != "GET":
        arguments.append(f'method="{method}"')
    headers = []
    if key:
        value = 'os.environ["KEY"]' if key == KEY else text(key, python=True)
        headers.append(f'"X-API-Key": {value}')
    if body is not None:
        headers.append('"Content-Type": "application/json"')
    if headers:
        arguments.append(f"headers={within_braces(headers, python=True)}")
    if body is not None:
        arguments.append(f"data=json.dumps({literal(body, python=True)}).encode()")
    called = indent(",\n".join(arguments), "    ")
    return "\n".join(
        [
            *(f"import {module}" for module in [*modules, "urllib.request"]),
            "",
            f"request = urllib.request.Request(\n{called},\n)",
            "with urllib.request.urlopen(request, timeout=30) as answer:",
            f"    print({'json.load(answer)' if reads else 'answer.status'})",
        ]
    )


def javascript(method, url, body=None, key=KEY):
    headers = []
    if key:
        headers.append(f'"X-API-Key": {"process.env.KEY" if key == KEY else text(key)}')
    if body is not None:
        headers.append('"Content-Type": "application/json"')
    options = [] if method == "GET" else [f'method: "{method}"']
    if headers:
        options.append(f"headers: {{ {', '.join(headers)} }}")
    if body is not None:
        options.append(f"body: JSON.stringify({literal(body)})")
    given = ", {\n" + indent(",\n".join(options), "  ") + ",\n}" if options else ""
    shown = "await response.json()" if has_answer(method) else "response.status"
    return "\n".join(
        [
            f"const response = await fetch({text(url)}{given});",
            "if (!response.ok) throw new Error(await response.text());",
            f"console.log({shown});",
        ]
    )


def has_answer(method):
    return method not in {"DELETE", "HEAD"}


def literal(value, python=False):
    """Return JSON data as a literal of JSON and JavaScript, or of Python."""
    if isinstance(value, str):
        return text(value, python)
    if isinstance(value, dict):
        lines = [f"{text(name, python)}: {literal(v, python)}" for name, v in value.items()]
        return within_braces(lines, python)
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item, python) for item in value)}]"
    return repr(value) if python else json.dumps(value)


def within_braces(lines, python):
    if sum(map(len, lines)) < ONE_LINE:
        return f"{{{', '.join(lines)}}}"
    return "{\n" + indent(",\n".join(lines), "    " if python else "  ") + "\n}"


def text(value, python=False):
    """Return a string literal.  What nobody sees, such as what turns the direction of writing
    round, is escaped: the code does what it looks like."""
    characters = json.dumps(str(value), ensure_ascii=False)
    return "".join(
        escaped(c, python) if unicodedata.category(c) in UNSEEN else c for c in characters
    )


def escaped(character, python):
    if python and ord(character) > 0xFFFF:
        return f"\\U{ord(character):08x}"
    return json.dumps(character)[1:-1]
