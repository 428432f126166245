// Keys: g and a letter goes to a page, / to the search, ? shows all. Nothing happens while somebody writes.
import { nextTheme } from "./choose.js";
import { refresh } from "./live.js";

let afterG = 0; // when g was pressed, in ms; 0: not lately

function isWriting(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));
}

function help() {
  const dialog = document.getElementById("help");
  if (dialog && !dialog.open) dialog.showModal();
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || document.querySelector("dialog[open]")) return;
  const key = event.key;
  if (afterG && event.timeStamp - afterG < 1500) {
    afterG = 0;
    const entry = [...document.querySelectorAll("#nav a[data-key]")].find((a) => a.dataset.key === key);
    if (entry) {
      event.preventDefault();
      location.assign(entry.href);
    }
    return;
  }
  afterG = 0;
  switch (key) {
    case "g":
      afterG = event.timeStamp;
      return;
    case "?":
      help();
      break;
    case "t":
      nextTheme();
      break;
    case "r":
      refresh();
      break;
    case "/": {
      const search = document.querySelector("main [data-search]");
      if (!search) return;
      search.focus();
      search.select?.();
      break;
    }
    default:
      return;
  }
  event.preventDefault();
}

export function listen() {
  document.addEventListener("keydown", pressed);
  const button = document.getElementById("keys");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", help);
}
