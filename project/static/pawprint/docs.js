/* Starts Swagger UI or Redoc, whichever the page has, in our colours and from our own files.

   It runs before Redoc's bundle does, which writes style sheets while it loads. */

"use strict";

const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
// drf-spectacular hands its settings over as JSON text: a text inside our JSON block.
const settings = JSON.parse(read("docs-settings") || "{}");

// --- Swagger UI --------------------------------------------------------------------------------

/* Each login asks for a code of its own; Swagger UI would present the one of the last login again
   (swagger-api/swagger-ui#10693). */
const freshCode = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authPopup: (original) => (url, flow) => {
          delete flow.auth.code;
          return original(url, flow);
        },
      },
    },
  },
});

/* Swagger UI as a part of our page, which has a heading, a main part and a header that stays. */
const asPart = ({ React: { createElement } }) => ({
  components: {
    Part: ({ getComponent }) => {
      const part = (name) => createElement(getComponent(name, true));
      const wide = (name, ...parts) => createElement("div", { className: `${name} wrapper` }, ...parts);
      return createElement(
        "div",
        { className: "swagger-ui" },
        createElement(getComponent("SvgAssets")),
        part("errors"),
        wide("calls-bar", part("AuthorizeBtnContainer")),
        wide("calls", part("operations")),
        wide("schemas", part("Models")),
      );
    },
  },
  wrapComponents: {
    // A link within a button cannot be reached; the button does the same.
    DeepLink: (Link) => (props) => createElement(Link, { ...props, enabled: false }),
  },
  statePlugins: {
    layout: { wrapActions: { scrollToElement: () => (element) => element.scrollIntoView() } },
  },
});

function startSwagger(container, spec) {
  const ui = SwaggerUIBundle({
    spec,
    domNode: container,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [freshCode, asPart],
    layout: "Part",
    requestInterceptor: (request) => {
      // A person who is signed in may try calls that write: those carry the token against forgery.
      const own = new URL(request.url, location.href).origin === location.origin;
      if (own && !["GET", undefined].includes(request.method)) {
        request.headers[read("csrf-header")] = read("csrf-token");
      }
      return request;
    },
    ...settings,
  });
  const oauth = JSON.parse(read("docs-oauth") || "null");
  if (oauth) ui.initOAuth(oauth);
  mindReaders(container);
  return new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (!container.querySelector(".opblock")) return;
      observer.disconnect();
      resolve();
    }).observe(container, { childList: true, subtree: true });
  });
}

async function fetchDocument() {
  const answer = await fetch(read("schema-url"), { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(`The OpenAPI document is answered by ${answer.status}.`);
  return answer.json();
}

function load(element) {
  return new Promise((resolve, reject) => {
    element.onload = resolve;
    element.onerror = reject;
    // Our own sheet stays the last.
    document.getElementById("docs-sheet").before(element);
  });
}

/* The list of calls is there at once.  Swagger UI, which is large, comes when somebody begins to
   use the page, or has it open for a while; it takes the list's place where the reader is. */
function callsThenSwagger(list, container, { nonce }) {
  let wanted = list.querySelector(`a[href="${CSS.escape(location.hash)}"]`);
  let isStarted = false;

  async function start() {
    if (isStarted) return;
    isStarted = true;
    const { scriptSrc, sheet } = container.dataset;
    try {
      const [spec] = await Promise.all([
        fetchDocument(),
        load(Object.assign(document.createElement("link"), { rel: "stylesheet", href: sheet })),
        load(Object.assign(document.createElement("script"), { src: scriptSrc, nonce })),
      ]);
      await startSwagger(container, spec);
    } catch (error) {
      console.error(error);
      document.getElementById("docs-failed").hidden = false;
      return;
    }
    takeOver();
  }

  function takeOver() {
    const top = (element) => element.getBoundingClientRect().top;
    const header = document.querySelector(".top").offsetHeight;
    const focused = document.activeElement.closest("[data-twin]");
    const inSight = [...list.querySelectorAll("a")].find((link) => top(link) > header);
    const kept = wanted || focused || (scrollY > 0 && top(list) < header && inSight);
    const before = kept && top(kept);
    container.hidden = false;
    list.hidden = true;
    const twin = (element) => container.querySelector(element.dataset.twin);
    if (wanted && twin(wanted).ariaExpanded !== "true") twin(wanted).click();
    if (kept) scrollBy({ top: top(twin(kept)) - before, behavior: "instant" });
    if (focused) twin(focused).focus({ preventScroll: true });
    list.remove();
  }

  list.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-twin]");
    if (!asked || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    wanted?.removeAttribute("aria-busy");
    wanted = asked;
    wanted.ariaBusy = "true";
    if (asked.hash) history.replaceState(null, "", asked.hash);
    start();
  });
  if (wanted) start();
  for (const use of ["pointermove", "pointerdown", "keydown", "touchstart", "scroll", "focusin"]) {
    addEventListener(use, start, { once: true, passive: true });
  }
  addEventListener("load", () => setTimeout(start, 5000));
}

/* Name the parts of Swagger UI that have no name.  Its dialog is one for the eye only, and opens
   scrolled to its end, where the last field takes the focus: say what it is, begin at its
   beginning, close by Escape and go back. */
function mindReaders(container) {
  let opener = null;
  container.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && !button.closest(".modal-ux")) opener = button;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") container.querySelector(".modal-ux .close-modal")?.click();
  });
  let shown = null;
  new MutationObserver(() => {
    const each = (selector, mend) => container.querySelectorAll(selector).forEach(mend);
    each("h3.opblock-tag, .models h4", (heading) => (heading.ariaLevel = "2"));
    each(".opblock h4", (heading) => (heading.ariaLevel = "3"));
    each(".opblock h5", (heading) => (heading.ariaLevel = "4"));
    each("textarea.body-param__text", (field) => (field.ariaLabel = "Request body"));
    each(".examples-select-element", (field) => (field.ariaLabel = "Example"));
    each(".highlight-code pre", (code) => (code.tabIndex = 0));
    const dialog = container.querySelector(".modal-ux");
    for (const name of dialog?.querySelectorAll(".auth-container h4 code") ?? []) {
      // The cookie is the browser's: nobody types it.
      if (name.textContent === "session") name.closest(".auth-container").hidden = true;
    }
    if (dialog === shown) return;
    shown = dialog;
    if (!dialog) return void opener?.focus();
    const close = dialog.querySelector(".close-modal");
    dialog.role = "dialog";
    dialog.ariaModal = "true";
    dialog.ariaLabel = "Authorize";
    close.ariaLabel = "Close";
    close.focus();
    dialog.querySelector(".modal-ux-content").scrollTop = 0;
  }).observe(container, { childList: true, subtree: true });
}

// --- Redoc -------------------------------------------------------------------------------------

/* The value of one of site.css's colours in the theme that is shown; Redoc computes with it. */
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function redocTheme() {
  const style = getComputedStyle(root);
  const sans = style.getPropertyValue("--sans");
  const mono = style.getPropertyValue("--mono");
  return {
    colors: {
      primary: { main: colour("accent") },
      success: { main: colour("accent") },
      error: { main: colour("danger") },
      text: { primary: colour("ink"), secondary: colour("muted") },
      border: { dark: colour("line"), light: colour("line") },
      responses: {
        success: { color: colour("accent-strong"), backgroundColor: colour("accent-soft"), tabTextColor: "#82d3bb" },
        redirect: { color: colour("muted"), backgroundColor: colour("sunken"), tabTextColor: "#f0c674" },
        error: { color: colour("danger"), backgroundColor: colour("danger-soft"), tabTextColor: "#ff9d92" },
      },
    },
    schema: { nestedBackground: colour("sunken"), linesColor: colour("edge"), typeNameColor: colour("muted"), typeTitleColor: colour("muted"), requireLabelColor: colour("danger") },
    typography: {
      fontFamily: sans,
      headings: { fontFamily: sans, fontWeight: "650" },
      code: { fontFamily: mono, color: colour("ink"), backgroundColor: colour("sunken") },
      links: { color: colour("accent"), visited: colour("accent"), hover: colour("accent-strong") },
    },
    sidebar: { backgroundColor: colour("surface"), textColor: colour("ink"), activeTextColor: colour("accent") },
    rightPanel: { backgroundColor: "#1a211e" },
    codeBlock: { backgroundColor: "#101412" },
  };
}

/* Redoc's footer wants a picture from its maker's servers, which need not know who reads here. */
function keepPicturesAtHome() {
  const image = HTMLImageElement.prototype;
  const { setAttribute } = image;
  const src = Object.getOwnPropertyDescriptor(image, "src");
  const foreign = (url) => new URL(url, location.href).origin !== location.origin;
  image.setAttribute = function (name, value) {
    if (name !== "src" || !foreign(value)) setAttribute.call(this, name, value);
  };
  Object.defineProperty(image, "src", {
    ...src,
    set(value) {
      if (!foreign(value)) src.set.call(this, value);
    },
  });
}

function startRedoc(container) {
  keepPicturesAtHome();
  const top = document.querySelector(".top");
  const covered = () => (getComputedStyle(top).position === "sticky" ? top.offsetHeight : 0);
  const options = { ...settings, scrollYOffset: covered, theme: redocTheme() };
  Redoc.init(read("schema-url"), options, container);
  // Its small headings follow those of an operation, which are of level 2.
  new MutationObserver(() => {
    for (const heading of container.querySelectorAll("h5")) heading.ariaLevel = "3";
  }).observe(container, { childList: true, subtree: true });
  // It cannot change its colours once it stands.
  document.addEventListener("pawprint:theme", () => location.reload());
}

/* The policy lets a style sheet in that carries the answer's nonce, and Redoc's own do not. */
function vouchForStyles({ nonce }) {
  const createElement = document.createElement;
  document.createElement = function (name, ...rest) {
    const element = createElement.call(this, name, ...rest);
    if (name === "style") element.nonce = nonce;
    return element;
  };
}

// --- Whichever it is ---------------------------------------------------------------------------

const redoc = document.getElementById("redoc");
if (redoc) {
  vouchForStyles(document.currentScript);
  document.addEventListener("DOMContentLoaded", () => startRedoc(redoc));
} else {
  // Swagger UI's sheet goes by this.
  const dark = () => root.classList.toggle("dark-mode", root.dataset.shown === "dark");
  dark();
  document.addEventListener("pawprint:theme", dark);
  const [list, container] = ["calls", "swagger-ui"].map((id) => document.getElementById(id));
  callsThenSwagger(list, container, document.currentScript);
}
