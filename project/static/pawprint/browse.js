/* What the browsable API needs besides site.js, which comes first: forms that send JSON with the
   method they name, and what a person chose to see, remembered. */

"use strict";

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // storage may be forbidden; every page then begins anew
  }
}

function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // The choice then lasts for this page.
  }
}

// Before the first paint, so that nothing flashes: cards where the table was chosen, tabs' panels.
const LIST_VIEW = "pawprint-list";
root.dataset.list = stored(LIST_VIEW) === "table" ? "table" : "cards";
root.dataset.arranging = "";

// --- Forms -------------------------------------------------------------------------------------

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
    (control) => control.name && control.type !== "hidden" && !control.disabled && !isMissing(control),
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

function tell(form, title, lines = [], { kind = "bad", way = null } = {}) {
  document.querySelector("[data-done]")?.remove(); // "Saved." was about the time before
  const note = document.createElement("div");
  note.className = `note ${kind}`;
  const strong = document.createElement("strong");
  strong.textContent = title;
  note.append(strong);
  if (lines.length) {
    const list = document.createElement("ul");
    list.append(...lines.map(item));
    note.append(list);
  }
  if (way) note.append(way);
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

// --- Changed meanwhile --------------------------------------------------------------------------

/* What a form holds, as the fields of its JSON; null where what was typed is none. */
function fieldsOf(form) {
  try {
    return JSON.parse(bodyOf(form));
  } catch {
    return null;
  }
}

/* What a form held when its page, or a newer version, was loaded into it. */
const loaded = new WeakMap();

function loadedInto(form) {
  if (loaded.has(form)) return loaded.get(form);
  const copy = form.cloneNode(true);
  copy.reset();
  return fieldsOf(copy);
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

function fill(control, value) {
  if (control.type === "checkbox") control.checked = value;
  else if (control.multiple) {
    for (const option of control.options) option.selected = value.includes(option.value);
  } else control.value = Array.isArray(value) ? value.join(", ") : (value ?? "");
}

function fillIn(form, fields) {
  const raw = form.querySelector("[data-raw]");
  if (raw) raw.value = JSON.stringify(fields, null, 4);
  else for (const [name, value] of Object.entries(fields)) fill(form.elements[name], value);
}

function inWords(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  return (Array.isArray(value) ? value.join(", ") : value) || "empty";
}

function nameOf(form, field) {
  const label = form.elements[field]?.labels?.[0];
  return label ? label.firstChild.textContent.trim() : field;
}

/* Load what is there now into the form; what was typed stays, and wins where both were changed. */
async function bringIn(form) {
  const options = { headers: { Accept: "application/json" }, credentials: "same-origin" };
  const response = await fetch(form.action, { ...options, cache: "no-store" });
  const answer = await response.json();
  if (!response.ok) {
    showProblems(form, answer);
    return;
  }
  const before = loadedInto(form);
  const typed = fieldsOf(form);
  if (!typed) {
    tell(form, "What you typed is no JSON: correct that first.", [], { way: wayOn(form) });
    return;
  }
  const there = answer.user || answer;
  const now = Object.fromEntries(Object.keys(before).map((name) => [name, there[name]]));
  const changed = Object.keys(now).filter((name) => !isSame(now[name], before[name]));
  const mine = (name) => !isSame(typed[name], before[name]) && !isSame(typed[name], now[name]);
  fillIn(form, { ...now, ...Object.fromEntries(Object.entries(typed).filter(([name]) => mine(name))) });
  loaded.set(form, now);
  form.dataset.tag = response.headers.get("ETag").replace(/^W\//, "");
  const lines = changed.map((name) =>
    mine(name)
      ? `${nameOf(form, name)}: changed by you and elsewhere, where it is now ${inWords(now[name])}. Yours is in the form.`
      : `${nameOf(form, name)}: now ${inWords(now[name])}.`,
  );
  const title = "The new version is in the form, with what you typed. Look it over, and save again.";
  tell(form, title, lines, { kind: "warn" });
}

/* What leads on from a 412: into the form, or for a deletion to the page as it is now. */
function wayOn(form) {
  const actions = document.createElement("div");
  actions.className = "actions";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button quiet minor";
  const deletes = form.dataset.method === "DELETE";
  button.textContent = deletes ? "Load the page again" : "Bring in the new version";
  button.addEventListener("click", async () => {
    if (deletes) {
      location.reload();
      return;
    }
    button.disabled = true;
    try {
      await bringIn(form);
    } catch {
      const title = "The server cannot be reached. What you typed is still here; try again in a moment.";
      tell(form, title, [], { way: wayOn(form) });
    }
    form.querySelector("[data-alert]").focus();
  });
  actions.append(button);
  return actions;
}

function tellOfChange(form) {
  const title = "It was changed since you opened this page.";
  const line =
    form.dataset.method === "DELETE"
      ? "Nothing was deleted: look at it once more first."
      : "Nothing was saved, and what you typed is still here.";
  tell(form, title, [line], { kind: "warn", way: wayOn(form) });
  form.querySelector("[data-alert]").focus();
}

// --- Sending -------------------------------------------------------------------------------------

/* The key of what makes something: sent again because nothing came back, it is done once; once it
   was answered, what is sent next is another request. */
const answered = new WeakMap();

function keyOf(form) {
  const key = form.elements.idempotency_key;
  return key && { "Idempotency-Key": `${key.value}-${answered.get(form) || 0}` };
}

function noteAnswer(form, status) {
  if (status < 500 && status !== 409) answered.set(form, (answered.get(form) || 0) + 1);
}

async function send(form) {
  const method = form.dataset.method;
  const headers = {
    Accept: "application/json",
    "X-CSRFToken": form.elements.csrfmiddlewaretoken.value,
    ...keyOf(form),
  };
  if (form.dataset.tag) headers["If-Match"] = form.dataset.tag;
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
    noteAnswer(form, response.status);
    if (response.ok) {
      const taken = response.status === 202 && (await response.json()).detail;
      remember(taken || { POST: "Created.", DELETE: "Deleted." }[method] || "Saved.");
      const made = response.status === 201 && response.headers.get("Location");
      location.assign(made || form.dataset.next || location.pathname);
      return;
    }
    const problem = await response.json().catch(() => ({
      title: `The server answered ${response.status} ${response.statusText}.`,
    }));
    if (response.status === 412) tellOfChange(form);
    else showProblems(form, problem);
  } catch {
    tell(form, "The server cannot be reached. Try again in a moment; nothing is done twice.");
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
  note.dataset.done = "";
  note.role = "status";
  note.textContent = sentence;
  document.querySelector("#main .wrap").prepend(note);
}

// --- Tabs --------------------------------------------------------------------------------------

/* The tab that the address names is shown: #json, #request, #new, #edit. */
function showTabOfAddress() {
  const tab = document.getElementById(`${location.hash.slice(1)}-tab`);
  if (tab?.closest("[data-hash]")) selectTab(tab);
}

/* A tab chosen by hand is kept in the address, so that the page can be passed on as it is seen. */
function nameTab(tab) {
  if (!tab.closest("[data-hash]")) return;
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
}

/* Whoever reads one call in Python reads the others in Python too, and tomorrow. */
const LANGUAGE = "pawprint-language";

function showLanguage(language) {
  for (const tab of document.querySelectorAll("[data-language]")) {
    if (tab.dataset.language === language) selectTab(tab);
  }
}

function noteTab(tab) {
  nameTab(tab);
  if (!tab.dataset.language) return;
  store(LANGUAGE, tab.dataset.language);
  showLanguage(tab.dataset.language);
}

/* A link to a form on this page opens its tab, and begins at the first field. */
function followToTab(event, link) {
  const tab = document.getElementById(`${link.getAttribute("href").slice(1)}-tab`);
  if (!tab) return;
  event.preventDefault();
  selectTab(tab);
  nameTab(tab);
  const panel = document.getElementById(tab.getAttribute("aria-controls"));
  panel.querySelector("input:not([type=hidden]), select, textarea")?.focus();
}

// --- Wiring ------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.method) return;
  event.preventDefault();
  send(event.target);
});

document.addEventListener("change", ({ target }) => {
  if (!("listView" in target.dataset)) return;
  root.dataset.list = target.value;
  store(LIST_VIEW, target.value);
});

document.addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) noteTab(tab);
  const link = event.target.closest("a[href^='#']");
  if (link) followToTab(event, link);
});

document.addEventListener("keydown", (event) => {
  const isMove = event.key === "ArrowLeft" || event.key === "ArrowRight";
  if (isMove && document.activeElement.matches("[role=tab]")) noteTab(document.activeElement);
});

addEventListener("hashchange", showTabOfAddress);

document.addEventListener("DOMContentLoaded", () => {
  for (const choice of document.querySelectorAll("[data-list-view]")) {
    choice.checked = choice.value === root.dataset.list;
  }
  showLanguage(stored(LANGUAGE));
  showTabOfAddress();
  delete root.dataset.arranging;
  sayWhatWasDone();
});
