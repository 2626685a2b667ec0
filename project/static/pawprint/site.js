/* What the pages need a script for: the theme switch, copying, filters without empty fields, and
   the browsable API's forms, which send JSON with the method they name. */

"use strict";

// Loaded in <head>, before the first paint, so that the page does not flash in the other theme.
const root = document.documentElement;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const THEME = "pawprint-theme";

function storedTheme() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null; // storage may be forbidden; the system's choice then holds
  }
}

function showTheme(theme) {
  if (theme) root.dataset.theme = theme;
  root.dataset.shown = theme || (prefersDark.matches ? "dark" : "light");
  document.dispatchEvent(new CustomEvent("pawprint:theme", { detail: root.dataset.shown }));
}

showTheme(storedTheme());
prefersDark.addEventListener("change", () => showTheme(storedTheme()));

function switchTheme() {
  const theme = root.dataset.shown === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(THEME, theme);
  } catch {
    // The switch then lasts for this page.
  }
  showTheme(theme);
}

async function copy(button) {
  const pre = button.closest("[data-copyable]").querySelector("pre");
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(pre.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(pre);
    button.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (button.textContent = label), 2000);
}

// --- The browsable API's forms -----------------------------------------------------------------

function valueOf(control) {
  if (control.type === "checkbox") return control.checked;
  if (control.multiple) return [...control.selectedOptions].map((option) => option.value);
  if ("list" in control.dataset) {
    return control.value.split(",").map((word) => word.trim()).filter(Boolean);
  }
  if (control.value === "" && control.dataset.empty === "null") return null;
  if (control.type === "number" && control.value !== "") return Number(control.value);
  return control.value;
}

// "This field is required" says more than that nothing is no valid choice.
const isMissing = (control) => control.ariaRequired === "true" && control.value === "";

function bodyOf(form) {
  const raw = form.querySelector("[data-raw]");
  if (raw) return raw.value;
  const controls = [...form.elements].filter(
    (control) => control.name && control.name !== "csrfmiddlewaretoken" && !control.disabled && !isMissing(control),
  );
  return JSON.stringify(Object.fromEntries(controls.map((c) => [c.name, valueOf(c)])));
}

function clearProblems(form) {
  form.querySelector("[data-alert]").replaceChildren();
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  for (const list of form.querySelectorAll(".problems")) list.replaceChildren();
}

function item(text) {
  const li = document.createElement("li");
  li.textContent = text;
  return li;
}

function tell(form, title, lines = []) {
  const note = document.createElement("div");
  note.className = "note bad";
  const strong = document.createElement("strong");
  strong.textContent = title;
  note.append(strong);
  if (lines.length) {
    const list = document.createElement("ul");
    list.append(...lines.map(item));
    note.append(list);
  }
  form.querySelector("[data-alert]").replaceChildren(note);
}

/* Put each problem beside its field, and what concerns no field above the form. */
function showProblems(form, problem) {
  const rest = [];
  let first = null;
  for (const { field, message } of problem.errors || []) {
    const name = field.split(".")[0];
    const control = name && form.elements[name];
    const list = control && document.getElementById(`${control.id}-problems`);
    if (!list) {
      rest.push(field ? `${field}: ${message}` : message);
      continue;
    }
    control.setAttribute("aria-invalid", "true");
    list.append(item(message));
    first ||= control;
  }
  const beside = first && !rest.length;
  tell(form, beside ? "Not saved: see the marked fields." : problem.detail || problem.title, rest);
  (first || form.querySelector("[data-alert]")).focus();
}

async function send(form) {
  const method = form.dataset.method;
  const headers = {
    Accept: "application/json",
    "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
  };
  const options = { method, headers, credentials: "same-origin" };
  if (method !== "DELETE") {
    headers["Content-Type"] = "application/json";
    options.body = bodyOf(form);
  }
  const buttons = form.querySelectorAll("button");
  clearProblems(form);
  buttons.forEach((button) => (button.disabled = true));
  try {
    const response = await fetch(form.action, options);
    if (response.ok) {
      remember({ POST: "Created.", DELETE: "Deleted." }[method] || "Saved.");
      const made = response.status === 201 && response.headers.get("Location");
      location.assign(made || form.dataset.next || location.pathname);
      return;
    }
    const problem = await response.json().catch(() => ({
      title: `The server answered ${response.status} ${response.statusText}.`,
    }));
    showProblems(form, problem);
  } catch {
    tell(form, "The server cannot be reached. Nothing was saved; try again in a moment.");
  }
  buttons.forEach((button) => (button.disabled = false));
}

/* What was done is said on the page that comes next. */
const DONE = "pawprint-done";

function remember(sentence) {
  try {
    sessionStorage.setItem(DONE, sentence);
  } catch {
    // Without storage the next page speaks for itself.
  }
}

function sayWhatWasDone() {
  let sentence = null;
  try {
    sentence = sessionStorage.getItem(DONE);
    sessionStorage.removeItem(DONE);
  } catch {
    return;
  }
  if (!sentence) return;
  const note = document.createElement("p");
  note.className = "note";
  note.role = "status";
  note.textContent = sentence;
  document.querySelector("#main .wrap").prepend(note);
}

function selectTab(tab) {
  for (const other of tab.closest("[role=tablist]").querySelectorAll("[role=tab]")) {
    const selected = other === tab;
    other.setAttribute("aria-selected", selected);
    other.tabIndex = selected ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !selected;
  }
}

function moveTab(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const tabs = [...event.target.closest("[role=tablist]").querySelectorAll("[role=tab]")];
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  selectTab(next);
  next.focus();
}

// --- Wiring ------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-switch], [data-copy], [data-dialog], [data-close], [role=tab]");
  if (!button) return;
  if ("themeSwitch" in button.dataset) switchTheme();
  else if ("copy" in button.dataset) copy(button);
  else if ("dialog" in button.dataset) document.getElementById(button.dataset.dialog).showModal();
  else if ("close" in button.dataset) button.closest("dialog").close();
  else selectTab(button);
});

document.addEventListener("keydown", (event) => {
  if (event.target.matches?.("[role=tab]")) moveTab(event);
});

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.method) return;
  event.preventDefault();
  send(event.target);
});

// A picture too large for the server would cost a whole upload to be told so.
document.addEventListener("change", ({ target }) => {
  if (!target.dataset?.maximumBytes) return;
  const most = Number(target.dataset.maximumBytes);
  const isTooLarge = target.files[0]?.size > most;
  target.setCustomValidity(isTooLarge ? `Choose a smaller picture: ${most / 1000} kB at most.` : "");
  target.reportValidity();
  if (isTooLarge) target.value = "";
});

// The API refuses a parameter without a value: what was left empty is not asked for.
document.addEventListener("formdata", (event) => {
  if (!("skipEmpty" in event.target.dataset)) return;
  for (const [name, value] of [...event.formData]) {
    if (value === "") event.formData.delete(name);
  }
});

document.addEventListener("DOMContentLoaded", () => {
  // What only works with a script is offered only with one.
  for (const element of document.querySelectorAll("[data-script]")) {
    element.hidden = false;
    element.disabled = false;
  }
  for (const tab of document.querySelectorAll("[role=tab][aria-selected=true]")) selectTab(tab);
  sayWhatWasDone();
});
