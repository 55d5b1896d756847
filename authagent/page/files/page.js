// Keeps the open page up to date, and asks without leaving it. Without this script the page works by loading it again.
//
// Rules of this file:
// - The agent makes all HTML; here it is only brought into the page, by changing what differs and keeping the rest: so
//   focus, open drawers and selections stay, and a link moves to its new master instead of being drawn anew.
// - When the agent falls silent, the page says so at once: an old picture must never look like a present one.

const BEAT_LATE_MS = 4000;
const AGAIN_MS = 1500;
const LIST_EVERY_MS = 5000;
const TYPED_MS = 180;

const at = (id) => document.getElementById(id);

// -- bringing HTML into the page ------------------------------------------------------------------------------------

const idOf = (node) => node.dataset?.id ?? "";
const alike = (one, other) => one.nodeName === other.nodeName && idOf(one) === idOf(other);

function become(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  becomeInside(old, fresh);
}

function becomeInside(old, fresh) {
  const named = new Map([...old.children].filter(idOf).map((child) => [idOf(child), child]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const had = idOf(wanted) ? named.get(idOf(wanted)) : place;
    if (!had || !alike(had, wanted)) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (had !== place) old.insertBefore(had, place);
    if (had.nodeType === Node.ELEMENT_NODE) become(had, wanted);
    else if (had.data !== wanted.data) had.data = wanted.data;
    place = had.nextSibling;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function show(id, html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  becomeInside(at(id), made.content);
}

// -- what happens, as it happens ------------------------------------------------------------------------------------

let events = null;
let lastWord = Date.now();

function listen() {
  events?.close();
  events = new EventSource("/events");
  events.onmessage = (message) => {
    for (const [id, html] of Object.entries(JSON.parse(message.data))) show(id, html);
    heard();
  };
  events.addEventListener("beat", heard);
  events.addEventListener("over", () => location.reload());
  events.onerror = () => {
    lost();
    if (events.readyState === EventSource.CLOSED) refused();
  };
}

function heard() {
  lastWord = Date.now();
  at("live").textContent = "live";
  document.body.classList.remove("lost");
  at("word")?.remove();
}

function lost() {
  if (document.body.classList.contains("lost")) return;
  document.body.classList.add("lost");
  at("live").textContent = "no word";
  const word = document.createElement("p");
  word.id = "word";
  word.className = "word";
  word.setAttribute("role", "alert");
  const since = new Date(lastWord).toLocaleTimeString();
  word.textContent = `This agent does not answer since ${since}. Below is what it said last. `;
  const elsewhere = at("main").dataset.elsewhere;
  if (elsewhere) {
    const link = document.createElement("a");
    link.href = elsewhere;
    link.textContent = "See the page of its partner.";
    word.append(link);
  }
  at("main").prepend(word);
}

// The browser does not try again by itself after an answer that is no stream.
async function refused() {
  try {
    const answer = await fetch("/events", { method: "HEAD" });
    if (answer.status === 401) return location.assign("/sign-in");
  } catch {
    // it is away; so try again
  }
  setTimeout(listen, AGAIN_MS);
}

// -- people ---------------------------------------------------------------------------------------------------------

let asking = null;
let typed = 0;

async function search() {
  asking?.abort();
  asking = new AbortController();
  const query = at("q").value;
  try {
    const answer = await fetch(`/sessions?${new URLSearchParams({ q: query })}`, { signal: asking.signal });
    if (answer.ok) show("sessions", await answer.text());
  } catch {
    // another search has begun, or the agent is away, which the page says elsewhere
  }
}

function remember() {
  const query = at("q").value;
  history.replaceState(null, "", query ? `/?${new URLSearchParams({ q: query })}` : "/");
}

async function order(form, button) {
  const body = new URLSearchParams(new FormData(form));
  button.disabled = true;
  button.textContent = "Ending…";
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "x-part": "answer" } });
    show("answer", await answer.text());
  } catch {
    at("answer").textContent = "The agent did not answer: it may have ended the sessions or not. Look again.";
  }
  at("answer").tabIndex = -1;
  at("answer").focus({ preventScroll: true });
  at("answer").scrollIntoView({ block: "nearest" });
  await search();
}

async function explain(subject) {
  try {
    const answer = await fetch(`/history?${new URLSearchParams({ of: subject })}`);
    show("history", await answer.text());
    at("history").scrollIntoView({ block: "nearest" });
  } catch {
    // the agent is away, which the page says elsewhere
  }
}

function closeDrawers(but) {
  for (const drawer of document.querySelectorAll("details.act[open]")) {
    if (drawer !== but) drawer.open = false;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.id === "search") {
    event.preventDefault();
    remember();
    search();
  } else if (form.dataset.order) {
    event.preventDefault();
    order(form, event.submitter);
  }
});

document.addEventListener("click", (event) => {
  closeDrawers(event.target.closest("details.act"));
  const link = event.target.closest("[data-explain]");
  if (link && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    explain(link.dataset.explain);
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const drawer = document.querySelector("details.act[open]");
  closeDrawers(null);
  drawer?.querySelector("summary").focus();
});

if (at("q")) {
  at("q").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      remember();
      search();
    }, TYPED_MS);
  });
  setInterval(() => {
    if (!document.hidden && !document.body.classList.contains("lost")) search();
  }, LIST_EVERY_MS);
  setInterval(() => {
    if (Date.now() - lastWord > BEAT_LATE_MS) lost();
  }, 500);
  listen();
}
