"""DRF's browsable API in our frame: the same answers, as pages for a person."""

import contextlib
import json
import re
import time
import uuid
from urllib.parse import urlsplit

from django.core.exceptions import FieldDoesNotExist
from django.template import loader
from django.utils.html import escape, format_html
from django.utils.safestring import mark_safe
from rest_framework import renderers, serializers
from rest_framework.request import is_form_media_type, override_method

from ..errors import Problem
from . import calls, explain, lists, things


class BrowsableAPIRenderer(renderers.BrowsableAPIRenderer):
    """The API as pages: what was asked for, its JSON, the request, and forms to change it."""

    # A JSON document's words: a name before its colon, text, a number, a literal.
    WORDS = re.compile(
        r'(?P<k>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<s>"(?:[^"\\]|\\.)*")'
        r"|(?P<n>-?\d[\d.eE+-]*)|(?P<l>\b(?:true|false|null)\b)"
    )

    def render(self, data, accepted_media_type=None, renderer_context=None):
        page = super().render(data, accepted_media_type, renderer_context)
        response, request = renderer_context["response"], renderer_context["request"]
        if response.status_code == 201 and is_form_media_type(request.content_type):
            # A form without a script: the browser goes on to what was made, and loading that page
            # again makes nothing.
            response.status_code = 303
        # Half a surrogate pair, which JSON can name, is typed into no page.
        return page.encode(errors="backslashreplace").decode()

    def get_context(self, data, accepted_media_type, renderer_context):
        context = super().get_context(data, accepted_media_type, renderer_context)
        view, request = renderer_context["view"], renderer_context["request"]
        if "PATCH" in view.allowed_methods and "PUT" not in view.allowed_methods:
            context["patch_form"] = self.get_rendered_html_form(data, view, "PATCH", request)
        problem = data if isinstance(data, Problem) else None
        answer = None if problem else data
        form = lists.filter_form(view, request)
        context |= {
            "problem": problem,
            "name": problem["title"] if problem else things.heading(data, view),
            "kind": things.kind_of(view),
            "is_list": things.is_list(data),
            "filters": lists.active_filters(request, form),
            "controls": lists.controls(view, request, form),
            "credential": explain.credential(request),
            # What is changed or removed from this page has to be what the page shows.
            "state": view.subject.state if getattr(view, "subject", None) else "",
            "methods": calls.methods(view, request),
            "calls": calls.calls(
                view,
                request,
                lambda method, shown: calls.example_body(self.blank(view), method, shown),
                answer,
            ),
            "milliseconds": round((time.perf_counter() - request.started) * 1000, 1),
        }
        if problem and problem["status"] in {401, 403}:
            context["why"] = explain.explain(request, view, problem)
        elif isinstance(answer, dict) and request.method != "OPTIONS":
            context |= things.page(answer, view, request)
        # A filter that was refused stays on the page, to be corrected.
        refused = bool(problem and problem["errors"] and request.method == "GET")
        if form is not None and (context["is_list"] or refused):
            filters = {"form": form, "request": request, "refused": refused}
            filters |= {name: context[name] for name in ("controls", "filters")}
            context["filter_form"] = loader.render_to_string(self.filter_template, filters)
        return context | self.get_forms(context, request) | self.get_tabs(context, request)

    def get_forms(self, context, request):
        """Return which forms the page has, and what they are called."""
        problem, view = context["problem"], context["view"]
        status = problem and problem["status"]
        # A form that was refused is corrected; what only takes a form is shown it.
        was_refused = status == 400 and request.method == "POST"
        takes_only_a_form = status == 405 and request.method == "GET"
        can_create = context["raw_data_post_form"]
        can_create = can_create and (not problem or was_refused or takes_only_a_form)
        forms = {
            "can_create": can_create,
            "can_edit": context["raw_data_put_or_patch_form"] and not problem,
            "can_delete": context["delete_form"] and not problem,
            # What is not kept anywhere is not created.
            "create_verb": "Create" if hasattr(view, "perform_create") else "Send",
            "takes_only_a_form": can_create and takes_only_a_form,
            # Each that is shown has its own: sent twice, it makes one.
            "form_key": uuid.uuid4(),
        }
        if forms["takes_only_a_form"]:
            forms["name"] = view.get_view_name()
        context |= forms
        return forms

    def get_tabs(self, context, request):
        """Return the tabs of the page, `[(key, label)]`, and which of them is open."""
        tabs = [
            ("page", "List" if context["is_list"] else "Overview", "page" in context),
            ("new", "New", context["can_create"]),
            ("edit", "Edit", context["can_edit"]),
            ("json", "JSON", True),
            ("request", "Request", True),
        ]
        tabs = [(key, label) for key, label, is_there in tabs if is_there]
        return {"tabs": tabs, "selected": tabs[0][0]}

    def get_description(self, view, status_code):
        # What a docstring says of the list would be said of each thing in it.
        if getattr(view, "detail", None) or things.url_name(view.request) == "me":
            return ""
        description = super().get_description(view, status_code)
        description = description.replace("<br /><br />", "</p><p>").replace("<br />", " ")
        return mark_safe(re.sub(r"`([^`<>]+)`", r"<code>\1</code>", description))  # noqa: S308

    def get_extra_actions(self, view, status_code):
        """Other addresses of the same things, which take the same filters."""
        actions = super().get_extra_actions(view, status_code) or {}
        query = lists.narrowing(view.request)
        return {
            name: f"{url}?{query}" if query else url
            for name, url in actions.items()
            if urlsplit(url).path != view.request.path
        }

    def get_breadcrumbs(self, request):
        """The path, step by step: `[(name, url)]`."""
        _, *steps = request.path.strip("/").split("/")  # there is nothing at /api/ itself
        urls = [f"/api/{'/'.join(steps[: number + 1])}/" for number in range(len(steps))]
        return list(zip([f"API {steps[0]}", *steps[1:]], urls, strict=True)) if steps else []

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
        with override_method(view, view.request, "POST"):  # not of what the GET picks by `fields=`
            serializer = view.get_serializer(**kwargs)
        for field in serializer.fields.values():
            with contextlib.suppress(AttributeError, FieldDoesNotExist):
                default = serializer.Meta.model._meta.get_field(field.source).get_default()
                field.initial = field.initial if default is None else default
        return serializer

    def show_form_for_method(self, view, method, request, obj):
        # Many at once are for programs: what a page changes or removes is what it is about.
        if method != "POST" and getattr(view, "detail", None) is False:
            return False
        return super().show_form_for_method(view, method, request, obj)

    def get_rendered_html_form(self, data, view, method, request):
        """The form; after a POST that was refused, with what was typed and what is wrong."""
        form = super().get_rendered_html_form(data, view, method, request)
        if not form or method != "POST":
            return form
        refused = isinstance(data, Problem) and data["errors"] and request.method == "POST"
        refused = refused and not isinstance(request.data, list)  # which no form has typed
        return self.render_form_for_serializer(
            self.blank(view, **({"data": request.data} if refused else {}))
        )

    def get_raw_data_form(self, data, view, method, request):
        form = super().get_raw_data_form(data, view, method, request)
        if form and method == "POST" and hasattr(view, "get_serializer"):
            form.fields["_content"].initial = json.dumps(self.blank(view).data, indent=4)
        return form

    def render_form_for_serializer(self, serializer):
        """The fields in their groups; None for a list."""
        if isinstance(serializer, serializers.ListSerializer):
            return None
        if hasattr(serializer, "initial_data") and serializer.is_valid():
            # Refused by somebody else, such as the database: shown as it was typed all the same.
            serializer._data = serializer.get_initial()
        serializer.data  # noqa: B018  (what the bound fields below take their values from)
        fields = {field.name: field for field in serializer if not field.read_only}
        groups = things.grouped(fields, type(serializer).__name__)
        style = {
            "template_pack": "rest_framework/horizontal",
            "renderer": self.form_renderer_class(),
        }
        template = loader.get_template("rest_framework/horizontal/form.html")
        return template.render({"groups": groups, "style": style})

    def get_filter_form(self, data, view, request):
        return None  # the page's context has it, with what else is said of the filters
