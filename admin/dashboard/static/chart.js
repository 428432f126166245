// Charts tell what is under the pointer or has the focus, in the line below them.
export function read() {
  const tell = (event) => {
    const bar = event.target.closest?.("[data-read]");
    const line = bar?.closest("figure")?.querySelector("[data-readout]");
    if (!line) return;
    line.dataset.summary ??= line.textContent;
    line.textContent = bar.dataset.read;
  };
  const forget = (event) => {
    const line = event.target.closest?.("figure")?.querySelector("[data-readout]");
    if (line?.dataset.summary) line.textContent = line.dataset.summary;
  };
  document.addEventListener("pointerover", tell);
  document.addEventListener("focusin", tell);
  document.addEventListener("pointerout", forget);
  document.addEventListener("focusout", forget);
}
