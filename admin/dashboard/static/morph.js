// morph makes an element like another one and touches only what differs: focus, selection, scroll positions, open details and
// what somebody has written stay. Elements with an id or a data-key are found again wherever they stand among their siblings.

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function isAlike(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
}

// isTheirs reports whether an attribute shows what the user did, not what the server said.
function isTheirs(element, name) {
  switch (element.tagName) {
    case "DETAILS":
    case "DIALOG":
      return name === "open";
    case "INPUT":
      return name === "value" || name === "checked";
    case "OPTION":
      return name === "selected";
  }
  return false;
}

function attributes(old, now) {
  for (const { name, value } of [...now.attributes]) {
    if (!isTheirs(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!isTheirs(old, name) && !now.hasAttribute(name)) old.removeAttribute(name);
  }
}

export function morph(old, now) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) return;
  attributes(old, now);
  if (old.tagName === "TEXTAREA") return;
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = old.firstChild;
  for (const child of [...now.childNodes]) {
    let same = at && isAlike(at, child) ? at : null;
    if (!same) {
      const found = keyed.get(keyOf(child));
      if (found && isAlike(found, child)) same = found;
    }
    if (!same) {
      old.insertBefore(child, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    morph(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
