"""How answers are written: JSON for programs, the browsable API for people."""

import contextlib
import json
import re

from django.core.exceptions import FieldDoesNotExist
from django.template import loader
from django.utils.html import escape, format_html
from django.utils.safestring import mark_safe
from rest_framework import renderers
from rest_framework.exceptions import NotAcceptable, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation

from .errors import MEDIA_TYPE, Problem


class JSONRenderer(renderers.JSONRenderer):
    """JSON; a Problem leaves as application/problem+json (RFC 9457 §3)."""

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if isinstance(data, Problem) and renderer_context:
            renderer_context["response"]["Content-Type"] = MEDIA_TYPE
        return super().render(data, "application/json", renderer_context)


class BrowsableAPIRenderer(renderers.BrowsableAPIRenderer):
    """The API as pages, for a person who is signed in."""

    # A JSON document's words: a name before its colon, text, a number, a literal.
    WORDS = re.compile(
        r'(?P<k>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<s>"(?:[^"\\]|\\.)*")'
        r"|(?P<n>-?\d[\d.eE+-]*)|(?P<l>\b(?:true|false|null)\b)"
    )
    # A table of a list shows this many columns; the JSON below it has them all.
    COLUMNS = 8

    def get_default_renderer(self, view):
        return JSONRenderer()

    def get_context(self, data, accepted_media_type, renderer_context):
        context = super().get_context(data, accepted_media_type, renderer_context)
        view, request = renderer_context["view"], renderer_context["request"]
        if "PATCH" in view.allowed_methods and "PUT" not in view.allowed_methods:
            context["patch_form"] = self.get_rendered_html_form(data, view, "PATCH", request)
        context["problem"] = data if isinstance(data, Problem) else None
        context["name"] = self.get_heading(data, view)
        context["table"] = self.get_table(data)
        return context

    def get_heading(self, data, view):
        """What the page is about, in a word or two."""
        if isinstance(data, Problem):
            return data["title"]
        if isinstance(data, dict) and getattr(view, "detail", None):
            return data.get("name") or data.get("username") or view.get_view_name()
        if getattr(view, "suffix", None) == "List":
            return f"{view.basename}s".capitalize()
        return view.get_view_name()

    def get_description(self, view, status_code):
        # What a docstring says of the list would be said of each thing in it.
        if getattr(view, "detail", None):
            return ""
        description = super().get_description(view, status_code)
        description = description.replace("<br /><br />", "</p><p>").replace("<br />", " ")
        return mark_safe(re.sub(r"`([^`<>]+)`", r"<code>\1</code>", description))  # noqa: S308

    def get_breadcrumbs(self, request):
        """The path, step by step: `[(name, url)]`."""
        _, *steps = request.path.strip("/").split("/")  # there is nothing at /api/ itself
        urls = [f"/api/{'/'.join(steps[: number + 1])}/" for number in range(len(steps))]
        return list(zip([f"API {steps[0]}", *steps[1:]], urls, strict=True)) if steps else []

    def get_table(self, data):
        """Return `{columns, rows}` of a list whose things have values a cell can hold, or None.

        A row is a list of `(text, link)`; the first cell leads to the thing itself.
        """
        results = data.get("results") if isinstance(data, dict) else None
        if not results:
            return None
        columns = [
            name
            for name, value in results[0].items()
            if not isinstance(value, dict | list | bool)
            and name not in {"id", "url"}
            and not name.endswith("_url")
            and any(row.get(name) not in (None, "") for row in results)
        ][: self.COLUMNS]
        rows = [
            [
                (row.get(name), row.get("url") if number == 0 else None)
                for number, name in enumerate(columns)
            ]
            for row in results
        ]
        return {"columns": [name.replace("_", " ") for name in columns], "rows": rows}

    def get_content(self, renderer, data, accepted_media_type, renderer_context):
        """The JSON, with its words marked for colour and its addresses as links."""
        response = renderer_context["response"]
        content_type = response["Content-Type"]
        text = super().get_content(renderer, data, accepted_media_type, renderer_context)
        # What was written here is a page about a problem, not the problem.
        response["Content-Type"] = content_type
        pieces, end = [], 0
        for match in self.WORDS.finditer(text):
            pieces += [escape(text[end : match.start()]), self.mark(match)]
            end = match.end()
        return mark_safe("".join([*pieces, escape(text[end:])]))  # noqa: S308  (escaped above)

    def mark(self, match):
        kind, word = match.lastgroup, match[0]
        if kind == "s" and re.match(r'"https?://', word):
            # What JSON escapes in an address, such as a quote, must not be in the link.
            return format_html(
                '<span class="s">"<a href="{}">{}</a>"</span>', json.loads(word), word[1:-1]
            )
        return format_html('<span class="{}">{}</span>', kind, word)

    def blank(self, view, **kwargs):
        """A serializer for something new that starts with the model's defaults."""
        serializer = view.get_serializer(**kwargs)
        for field in serializer.fields.values():
            with contextlib.suppress(AttributeError, FieldDoesNotExist):
                default = serializer.Meta.model._meta.get_field(field.source).get_default()
                field.initial = field.initial if default is None else default
        return serializer

    def get_rendered_html_form(self, data, view, method, request):
        """The form; after a POST that was refused, with what was typed and what is wrong."""
        form = super().get_rendered_html_form(data, view, method, request)
        if not form or method != "POST":
            return form
        refused = isinstance(data, Problem) and data["errors"] and request.method == "POST"
        return self.render_form_for_serializer(
            self.blank(view, **({"data": request.data} if refused else {}))
        )

    def get_raw_data_form(self, data, view, method, request):
        form = super().get_raw_data_form(data, view, method, request)
        if form and method == "POST" and hasattr(view, "get_serializer"):
            form.fields["_content"].initial = json.dumps(self.blank(view).data, indent=4)
        return form

    def get_filter_form(self, data, view, request):
        # A filter that was refused stays on the page, to be corrected.
        is_list = "results" in data if isinstance(data, dict) else False
        refused = isinstance(data, Problem) and data["errors"] and request.method == "GET"
        if not (is_list or refused) or not getattr(view, "filterset_class", None):
            return None
        if getattr(view, "detail", None):
            return None
        form = view.filterset_class(request.query_params, queryset=view.queryset).form
        form.order_fields(["q"])
        for name, field in form.fields.items():
            field.label = "Search" if name == "q" else name.replace("_", " ").capitalize()
        return loader.render_to_string(self.filter_template, {"form": form, "request": request})


class ContentNegotiation(DefaultContentNegotiation):
    """`?format=` that names no format is a bad parameter, not a missing page."""

    def filter_renderers(self, renderers, format):
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            known = ", ".join(renderer.format for renderer in renderers)
            raise ValidationError({"format": f"Unknown format; use one of {known}."})
        return found

    def select_renderer(self, request, renderers, format_suffix=None):
        # A client that accepts problems gets JSON: errors are its only problems.
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            accepts = request.META.get("HTTP_ACCEPT", "")
            if MEDIA_TYPE in accepts:
                return renderers[0], renderers[0].media_type
            known = ", ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"Available are: {known}.") from None
