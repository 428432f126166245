// Ages and what is left of times, counted on. The text is that of span in format.go.
function span(seconds) {
  const s = Math.max(Math.floor(seconds), 0);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) {
    const m = Math.floor((s % 3600) / 60);
    return `${Math.floor(s / 3600)} h` + (m ? ` ${m} min` : "");
  }
  const h = s < 14 * 86400 ? Math.floor((s % 86400) / 3600) : 0;
  return `${Math.floor(s / 86400)} d` + (h ? ` ${h} h` : "");
}

// skew is how far the clock of the server is ahead of the browser's, in ms, as the latest reply said.
let skew = 0;

export function setClock(date) {
  const ahead = Date.parse(date) - Date.now();
  if (!Number.isNaN(ahead)) skew = Math.abs(ahead) < 2000 ? 0 : ahead;
}

export function count() {
  const now = Date.now() + skew;
  for (const time of document.querySelectorAll("time[data-ago], time[data-left]")) {
    const at = Date.parse(time.dateTime);
    const text = span((time.hasAttribute("data-ago") ? now - at : at - now) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}
