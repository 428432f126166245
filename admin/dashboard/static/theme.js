// The theme that was chosen, before the first paint: "light", "dark", or nothing for what the system has.
try {
  const theme = localStorage.getItem("gtmd-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system decides.
}
