/* What the pages need a script for: the theme switch, copying, tabs, dialogs, menus, and forms that
   are sent once and without their empty fields. */

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
  else delete root.dataset.theme;
  root.dataset.shown = theme || (prefersDark.matches ? "dark" : "light");
  document.dispatchEvent(new CustomEvent("pawprint:theme", { detail: root.dataset.shown }));
}

showTheme(storedTheme());
prefersDark.addEventListener("change", () => showTheme(storedTheme()));
// Other tabs follow.
addEventListener("storage", (event) => event.key === THEME && showTheme(event.newValue));

/* The theme after this one: the other than the system's, the system's, and as the system has it,
   so that the first press is seen. */
function nextTheme() {
  const [own, other] = prefersDark.matches ? ["dark", "light"] : ["light", "dark"];
  const now = root.dataset.theme;
  if (!now) return other;
  return now === other ? own : null;
}

function switchTheme() {
  const theme = nextTheme();
  try {
    if (theme) localStorage.setItem(THEME, theme);
    else localStorage.removeItem(THEME);
  } catch {
    // The switch then lasts for this page.
  }
  showTheme(theme);
}

function sayTheme() {
  const name = (theme) => theme || "as your system";
  const label = `Theme: ${name(root.dataset.theme)}. Switch to ${name(nextTheme())}`;
  const button = document.querySelector("[data-theme-switch]");
  button.ariaLabel = button.title = label;
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

// --- Tabs --------------------------------------------------------------------------------------

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
  const menu = event.key === "Escape" && document.querySelector("[data-menu][open]");
  if (!menu) return;
  menu.open = false;
  if (menu.contains(event.target)) menu.querySelector("summary").focus();
});

// A menu closes behind whoever leaves it.
for (const leaving of ["click", "focusin"]) {
  document.addEventListener(leaving, ({ target }) => {
    const menu = document.querySelector("[data-menu][open]");
    if (menu && !menu.contains(target)) menu.open = false;
  });
}

/* A form is sent once, however often it is clicked.  The answer may be a page of somebody else, or
   none that replaces this one: then it can be sent again. */
const sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  // Those with a method of their own are browse.js's.
  if (form.dataset.method || form.getAttribute("method") !== "post") return;
  if (sent.has(form)) event.preventDefault();
  sent.add(form);
  setTimeout(() => sent.delete(form), 3000);
});
addEventListener("pageshow", (event) => event.persisted && [...document.forms].forEach((f) => sent.delete(f)));

/* After a form that was refused, the focus is where the problem is. */
function goToTheProblem() {
  const forms = "#main form[method=post]";
  const seen = (all) => [...document.querySelectorAll(all)].find((e) => e.checkVisibility());
  const field = seen(`${forms} [aria-invalid=true]`);
  const note = field || seen(`${forms} .errorlist.nonfield`);
  if (!note) return;
  if (!field) note.tabIndex = -1;
  note.focus();
}

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
  goToTheProblem();
  // On a phone the account's pages are a row that scrolls.
  document.querySelector(":is(.account-nav, .docs-nav) [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  sayTheme();
  document.addEventListener("pawprint:theme", sayTheme);
});
