// The button that changes the theme: as the system is, light, dark.
const themes = ["system", "light", "dark"];

function chosen() {
  return document.documentElement.dataset.theme ?? "system";
}

export function nextTheme() {
  const next = themes[(themes.indexOf(chosen()) + 1) % themes.length];
  if (next === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("gtmd-theme");
    else localStorage.setItem("gtmd-theme", next);
  } catch {
    // Storage is off: it holds for this page.
  }
  label();
}

function label() {
  const button = document.getElementById("theme");
  if (button) button.textContent = "Theme: " + chosen();
}

export function chooseTheme() {
  const button = document.getElementById("theme");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", nextTheme);
  label();
}
