// The page is kept as the server has it: fetched again when the server says that something changed, and every 5 s besides.
import { morph } from "./morph.js";
import { count, setClock } from "./time.js";

const every = 5000; // ms
const patience = 10000; // ms that a fetch may take

let busy = false;
let again = false;
let lost = null; // since when the server is not reached
let timer = 0;
let stream = null; // tells when something has changed; null: the page is not seen

function show() {
  const mark = document.getElementById("live");
  mark.className = lost ? "live lost" : "live on";
  const text = lost ? `disconnected since ${lost.toLocaleTimeString([], { hour12: false })}` : "live";
  const word = mark.querySelector(".word");
  if (word.textContent !== text) word.textContent = text;
}

function reached(yes) {
  if (yes) lost = null;
  else lost ??= new Date();
  show();
}

function say(text) {
  const said = document.getElementById("said");
  if (text && said.dataset.last !== undefined && said.dataset.last !== text) said.textContent = text;
  said.dataset.last = text;
}

export async function refresh() {
  if (document.hidden) return;
  if (busy) {
    again = true;
    return;
  }
  const main = document.getElementById("main");
  if ("still" in main.dataset) return;
  busy = true;
  clearTimeout(timer);
  try {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience), cache: "no-store" });
    if (reply.redirected) {
      location.reload(); // to the login
      return;
    }
    setClock(reply.headers.get("Date"));
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) throw new Error("no page");
    morph(main, fresh);
    document.title = page.title;
    count();
    say(main.dataset.say);
    reached(true);
    main.dispatchEvent(new CustomEvent("gtmd:refreshed", { bubbles: true }));
  } catch {
    reached(false);
  } finally {
    busy = false;
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(refresh, again ? 0 : every);
    again = false;
  }
}

// listen opens the stream where there is none. A browser tries again by itself, but not after a refusal: of a server that has too many
// streams, of a token that is gone.
function listen() {
  if (document.hidden || stream) return;
  const now = new EventSource("/live");
  stream = now;
  now.addEventListener("hello", () => {
    reached(true);
    refresh();
  });
  now.addEventListener("changed", refresh);
  now.addEventListener("error", () => {
    if (now !== stream) return;
    if (now.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(listen, every);
    }
    reached(false);
    refresh(); // the stream may be all that has ended
  });
}

// rest lets a page that nobody sees be: a browser has few connections to a server, which tabs share, and a phone sleeps.
function rest() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

export function follow() {
  const main = document.getElementById("main");
  say(main.dataset.say);
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      rest();
      return;
    }
    listen();
    refresh();
  });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
  timer = setTimeout(refresh, every);
}
