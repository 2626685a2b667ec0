/* What people read where a passkey does not do what it should, beside allauth's script. */

"use strict";

(() => {
  const SENTENCES = {
    InvalidStateError: "This device has a passkey for this account already.",
    NotAllowedError: "Nothing happened: it was cancelled, or it took too long. Try again.",
    NotSupportedError: "This device cannot keep such a passkey. Try another one.",
    SecurityError: "Passkeys work only where this site is open by its name, over https.",
  };

  function tell(sentence) {
    const place = document.querySelector("[data-passkey-problem]");
    place.textContent = sentence;
    place.hidden = false;
  }

  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    tell(SENTENCES[event.detail.exception.name] || "It did not work. Load this page again, and try once more.");
  });

  document.addEventListener("DOMContentLoaded", () => {
    // Enter in the name's field asks for the passkey too; without one there is nothing to send.
    document.querySelector("[data-passkey-form]")?.addEventListener("submit", (event) => {
      event.preventDefault();
      event.target.querySelector("button").click();
    });
    // An IP address can have no passkeys; somebody's own machine has a name besides.
    const note = document.querySelector("[data-needs-name]");
    if (!note || !/^127\.|^\[::1\]$/.test(location.hostname)) return;
    const here = new URL(location.href);
    here.hostname = "localhost";
    note.querySelector("[data-named-here]").href = here;
    note.querySelector("[data-named-here]").textContent = here.origin;
    note.hidden = false;
  });
})();
