// The menu of a card: what can be done with a style, where the pointer or the keyboard asks for it.

import { html } from "./elements.js";

/**
 * Open a menu; it closes itself once something is chosen, and on Escape or a click elsewhere.
 *
 * @param place {x, y} client position of its corner.
 * @param items [{icon, text, act}] from top to bottom.
 */
export function openMenu({ x, y }, items) {
  const listening = new AbortController();
  const before = document.activeElement;
  const close = () => {
    listening.abort();
    menu.remove();
    before?.focus?.();
  };
  const entries = items.map(({ icon, text, act }) => {
    const symbol = html("i", { class: `pi ${icon}`, "aria-hidden": "true" });
    const onclick = () => {
      close();
      act();
    };
    return html("button", { type: "button", role: "menuitem", onclick }, symbol, text);
  });
  const menu = html("div", { class: "metastyle-menu", role: "menu" }, ...entries);
  document.body.append(menu);
  keepInside(menu, x, y);
  entries[0]?.focus();
  listen(menu, entries, close, listening.signal);
}

function listen(menu, entries, close, signal) {
  // On the way down, because the host's canvas keeps pointer events to itself.
  const elsewhere = (event) => menu.contains(event.target) || close();
  window.addEventListener("pointerdown", elsewhere, { signal, capture: true });
  window.addEventListener("blur", close, { signal });
  menu.addEventListener("contextmenu", (event) => event.preventDefault());
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      const next = entries.indexOf(document.activeElement) + step + entries.length;
      entries[next % entries.length].focus();
    } else if (event.key === "Escape" || event.key === "Tab") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function keepInside(menu, x, y) {
  const box = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(0, Math.min(x, window.innerWidth - box.width))}px`;
  menu.style.top = `${Math.max(0, Math.min(y, window.innerHeight - box.height))}px`;
}
