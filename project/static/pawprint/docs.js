/* Starts Swagger UI or Redoc, whichever the page has, in our colours and from our own files. */

"use strict";

const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
// drf-spectacular hands its settings over as JSON text: a text inside our JSON block.
const settings = JSON.parse(read("docs-settings") || "{}");

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

function startSwagger() {
  const dark = () => root.classList.toggle("dark-mode", root.dataset.shown === "dark");
  dark();
  document.addEventListener("pawprint:theme", dark);
  const ui = SwaggerUIBundle({
    url: read("schema-url"),
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [freshCode],
    layout: "BaseLayout",
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
}

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
  // It cannot change its colours once it stands.
  document.addEventListener("pawprint:theme", () => location.reload());
}

const redoc = document.getElementById("redoc");
if (redoc) startRedoc(redoc);
else startSwagger();
