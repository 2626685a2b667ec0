"""A request as one would write it in a shell, in Python and in JavaScript; `KEY` holds the key."""

import json
import shlex
import unicodedata
from textwrap import indent

ONE_LINE = 60  # characters of an object that is not spread over lines
UNSEEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}


def snippets(method, url, body=None, with_key=True):
    """Return `[(language, code)]`: each sends exactly this, whatever `url` and `body` hold."""
    return [
        ("curl", curl(method, url, body, with_key)),
        ("Python", python(method, url, body, with_key)),
        ("JavaScript", javascript(method, url, body, with_key)),
    ]


def curl(method, url, body, with_key):
    parts = [f"curl {quoted(url)}"]
    if method == "HEAD":
        parts.append("--head")
    elif method != "GET":
        parts.append(f"-X {method}")
    if with_key:
        parts.append('-H "X-API-Key: $KEY"')
    if body is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {quoted(literal(body))}"]
    return " \\\n  ".join(parts)


def python(method, url, body, with_key):
    arguments = [text(url)]
    if with_key:
        arguments.append('headers={"X-API-Key": os.environ["KEY"]}')
    if body is not None:
        arguments.append(f"json={literal(body, python=True)}")
    arguments.append("timeout=30")
    called = indent(",\n".join(arguments), "    ")
    return "\n".join(
        [
            *(["import os", ""] if with_key else []),
            "import requests",
            "",
            f"response = requests.{method.lower()}(\n{called},\n)",
            "response.raise_for_status()",
            "print(response.json())" if has_answer(method) else "print(response.status_code)",
        ]
    )


def javascript(method, url, body, with_key):
    headers = []
    if with_key:
        headers.append('"X-API-Key": process.env.KEY')
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


def quoted(word):
    """Return `word` for a POSIX shell, always within quotes."""
    safe = shlex.quote(word)
    return safe if safe != word else f"'{word}'"


def literal(value, python=False):
    """Return JSON data as a literal of JSON and JavaScript, or of Python."""
    if isinstance(value, str):
        return text(value, python)
    if isinstance(value, dict):
        lines = [f"{text(name, python)}: {literal(v, python)}" for name, v in value.items()]
        if sum(map(len, lines)) < ONE_LINE:
            return f"{{{', '.join(lines)}}}"
        return "{\n" + indent(",\n".join(lines), "  " if not python else "    ") + "\n}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item, python) for item in value)}]"
    return repr(value) if python else json.dumps(value)


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
