// A page on an origin of its own that acts for whoever signs in: OAuth 2 with PKCE in the browser,
// then the API over CORS.  Plain JavaScript, to be read from top to bottom.
//
// It is a public app: whatever is in here, everybody can read, so there is no secret.  What keeps
// a stranger out is the registered redirect URI, and the verifier that goes from this tab to the
// server and nowhere else.
import { api, clientId } from "./config.js";

const redirectUri = new URL("./", location.href).href;
const scope = "pets:read pets:write users:read"; // people read this list before they agree
const pageSize = 4; // small, so that the demo's few users show how the next page is asked for

// In memory and nowhere else.  What lies in localStorage or sessionStorage can be taken by any
// script that ever gets into this page; memory is gone with the page.  The price is small: after
// a reload one signs in again.
let tokens = null;

// --- Sign-in: authorization code with PKCE (RFC 6749 §4.1, RFC 7636) ----------------------------

async function discover() {
  const response = await send(`${api}/.well-known/oauth-authorization-server`);
  const metadata = await response.json();
  // RFC 8414 §3.3: metadata that speaks for somebody else must not be used.
  if (metadata.issuer !== api) throw new Error(`${api} says that it is ${metadata.issuer}.`);
  return metadata;
}

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function signIn() {
  const { authorization_endpoint } = await discover();
  const [state, verifier] = [random(), random()];
  // These two must outlive the way to the server and back.  They are worth nothing without the
  // code, are used once, and belong to this tab alone.
  sessionStorage.setItem("sign-in", JSON.stringify({ state, verifier }));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const url = new URL(authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: "code",
    client_id: clientId,
    redirect_uri: redirectUri,
    scope,
    state,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  });
  location.assign(url);
}

async function finishSignIn() {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("code") && !answer.has("error")) return;
  // Out of the address bar, and so out of the history and of what is copied from there.
  history.replaceState(null, "", redirectUri);
  const begun = JSON.parse(sessionStorage.getItem("sign-in"));
  sessionStorage.removeItem("sign-in");
  // An answer to a question that this tab did not ask would sign you in as somebody else.
  if (!begun || answer.get("state") !== begun.state) {
    throw new Error("This sign-in was not begun here. Please begin again.");
  }
  const metadata = await discover();
  // RFC 9207: an answer that another server gave must not be taken to this one.
  if (answer.get("iss") !== metadata.issuer) {
    throw new Error(`The answer is from ${answer.get("iss")}, not from ${metadata.issuer}.`);
  }
  if (answer.get("error") === "access_denied") throw new Error("You did not let this page in.");
  if (answer.has("error")) throw new Error(answer.get("error_description") ?? answer.get("error"));
  await getTokens(metadata.token_endpoint, {
    grant_type: "authorization_code",
    code: answer.get("code"),
    redirect_uri: redirectUri,
    code_verifier: begun.verifier,
  });
  const me = await (await call("/api/v1/me/")).json();
  show(me.user.username);
}

async function getTokens(endpoint, form) {
  const response = await post(endpoint, form);
  const { access_token, refresh_token } = await response.json();
  tokens = { access: access_token, refresh: refresh_token };
}

// An access token lives a quarter of an hour; the refresh token that came with it gets the next
// pair, once (RFC 9700 §4.14): its second use counts as theft and ends them all.
async function renew() {
  const { token_endpoint } = await discover();
  await getTokens(token_endpoint, {
    grant_type: "refresh_token",
    refresh_token: tokens.refresh,
  });
}

async function signOut() {
  const { refresh } = tokens;
  tokens = null;
  show();
  const { revocation_endpoint } = await discover();
  // RFC 7009: with the refresh token goes the access token that came with it.
  await post(revocation_endpoint, { token: refresh, token_type_hint: "refresh_token" });
}

// --- Requests -----------------------------------------------------------------------------------

class Problem extends Error {
  constructor(status, sentence, errors = []) {
    super(sentence);
    this.status = status;
    this.errors = errors;
  }
}

async function send(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, credentials: "omit" });
  } catch {
    // The browser does not tell a script whether nobody answered or CORS forbids the answer.
    throw new Error(
      `${api} does not answer this page. Is it running, and is ${location.origin} among the ` +
        "allowed origins of an app there?",
    );
  }
  if (!response.ok) throw await readProblem(response);
  return response;
}

async function readProblem(response) {
  const body = await response.json().catch(() => ({}));
  // The OAuth endpoints speak RFC 6749 §5.2, the API RFC 9457.
  const reason = body.detail ?? body.error_description ?? body.error ?? response.statusText;
  return new Problem(response.status, `${response.status}: ${reason}`, body.errors);
}

function post(endpoint, form) {
  const body = new URLSearchParams({ client_id: clientId, ...form });
  return send(endpoint, { method: "POST", body });
}

async function call(url, options = {}) {
  if (!tokens) throw new Error("Please sign in first.");
  const attempt = () =>
    send(new URL(url, api), {
      ...options,
      headers: { ...options.headers, Authorization: `Bearer ${tokens.access}` },
    });
  try {
    return await attempt();
  } catch (problem) {
    if (problem.status !== 401) throw problem;
  }
  try {
    await renew();
  } catch (problem) {
    tokens = null;
    show();
    throw new Error(`Your sign-in has ended (${problem.message}). Please sign in again.`);
  }
  return attempt();
}

// --- The page -----------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const fields = $("register").elements;

// Everything that came from the API becomes text, never HTML: names are other people's.
function element(name, content, className = "") {
  const node = document.createElement(name);
  node.className = className;
  node.append(...[content].flat());
  return node;
}

function show(username = null) {
  const signedIn = tokens !== null;
  $("who").textContent = username ? `You are signed in as ${username}.` : "You are not signed in.";
  $("sign-in").hidden = signedIn;
  $("sign-out").hidden = !signedIn;
  $("get-users").disabled = !signedIn;
  $("register").querySelector("fieldset").disabled = !signedIn;
  if (!signedIn) {
    $("users").replaceChildren();
    $("users-status").textContent = "";
    $("more-users").hidden = true;
    $("answer").replaceChildren();
  }
}

function showUser(user) {
  const pets = user.pets.map((pet) =>
    element("li", [pet.name || "(no name)", " ", element("span", pet.species, "species")]),
  );
  const more = user.pet_count - pets.length;
  if (more > 0) pets.push(element("li", `and ${more} more`, "none"));
  const list = pets.length ? element("ul", pets) : element("p", "no pets", "none");
  $("users").append(element("li", [element("h3", user.username), list]));
}

let nextUsers = null;

async function showUsers(url) {
  const page = await (await call(url)).json();
  page.results.forEach(showUser);
  nextUsers = page.next;
  $("more-users").hidden = nextUsers === null;
  const count = $("users").children.length;
  $("users-status").textContent = nextUsers ? `${count} users, and there are more.` : `${count} users.`;
}

async function registerPet() {
  clearErrors();
  const pet = { name: fields.name.value, species: fields.species.value };
  if (fields.birth_date.value) pet.birth_date = fields.birth_date.value;
  const response = await call("/api/v1/pets/", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(pet),
  });
  const body = element("pre", JSON.stringify(await response.json(), null, 2));
  body.tabIndex = 0; // so that it can be scrolled by keyboard
  $("answer").replaceChildren(
    element("p", `${response.status} ${response.statusText}`),
    element("p", `Location: ${response.headers.get("Location")}`),
    body,
  );
  $("register").reset();
}

function clearErrors() {
  $("answer").replaceChildren();
  for (const message of document.querySelectorAll(".error")) message.remove();
  for (const field of fields) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

// Each thing that is wrong is said where it is wrong; what belongs to no field of ours stays above.
function showErrors(errors) {
  for (const { field, message } of errors) {
    const input = fields.namedItem(field);
    if (!input) continue;
    const note = element("p", message, "error");
    note.id = `${field}-error`;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", note.id);
    input.after(note);
  }
  document.querySelector('[aria-invalid="true"]')?.focus();
}

// What a button begins.  A second click before it is done is ignored.
function on(event, id, action) {
  let busy = false;
  $(id).addEventListener(event, async (happening) => {
    happening.preventDefault();
    if (busy) return;
    busy = true;
    $("problem").replaceChildren();
    await attempt(action);
    busy = false;
  });
}

// One thing at a time, so that no two requests renew the token at once; what goes wrong is told.
let last = Promise.resolve();

function attempt(action) {
  last = last.then(async () => {
    try {
      await action();
    } catch (error) {
      $("problem").append(element("p", error.message));
      showErrors(error.errors ?? []);
    }
  });
  return last;
}

on("click", "sign-in", signIn);
on("click", "sign-out", signOut);
on("click", "get-users", () => {
  $("users").replaceChildren();
  return showUsers(`/api/v1/users/?page_size=${pageSize}`);
});
on("click", "more-users", () => showUsers(nextUsers));
on("submit", "register", registerPet);

attempt(finishSignIn);
attempt(async () => {
  // Open to everybody: no token is sent.
  const species = await (await send(`${api}/api/v1/species/`)).json();
  fields.species.append(...species.results.map(({ code, name }) => new Option(name, code)));
});
