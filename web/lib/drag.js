// Dragging a card out of the gallery, with pointer events: the browser's own drag and drop would
// offer the picture to the host as a dropped file.

import { html } from "./elements.js";

const THRESHOLD_PX = 6;

/**
 * Let an element be dragged.
 *
 * @param element what is dragged.
 * @param picture gives an element that follows the pointer.
 * @param drop called with the client position where the pointer was let go.
 */
export function makeDraggable(element, picture, drop) {
  element.addEventListener("pointerdown", (down) => {
    if (down.button !== 0 || down.target.closest("button")) return;
    follow(element, down, picture, drop);
  });
}

function follow(element, down, picture, drop) {
  const listening = new AbortController();
  const { signal } = listening;
  let ghost = null;
  const end = () => {
    ghost?.remove();
    listening.abort();
  };
  const move = (event) => {
    const far = Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY);
    if (!ghost && far < THRESHOLD_PX) return;
    ghost ??= document.body.appendChild(html("div", { class: "metastyle-ghost" }, picture()));
    ghost.style.translate = `${event.clientX}px ${event.clientY}px`;
  };
  const up = (event) => {
    const dragged = ghost !== null;
    end();
    if (!dragged) return;
    event.stopPropagation(); // or the host takes it for a click on what lies below
    drop(event.clientX, event.clientY);
  };
  const key = (event) => {
    if (event.key === "Escape") end();
  };
  // On the way down, because the host's canvas keeps pointer events to itself.
  const options = { signal, capture: true };
  window.addEventListener("pointermove", move, options);
  window.addEventListener("pointerup", up, options);
  window.addEventListener("pointercancel", end, options);
  window.addEventListener("keydown", key, options);
}
