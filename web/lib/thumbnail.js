// The picture of the chosen style on the node that loads it.

import { addElement } from "./dom_widget.js";
import { html } from "./elements.js";
import { styleWidget } from "./graph.js";
import { say } from "./text.js";

const WIDGET_HEIGHT_PX = 150;

/** Shows the picture of whatever the node's dropdown names. */
export class StyleThumbnails {
  #shown = new Map();

  /**
   * @param pictureOf gives {url, note, beside} of a style name; `url` is null where there is no
   *   picture, and `beside` where the user keeps none beside it.
   */
  constructor(pictureOf) {
    this.pictureOf = pictureOf;
  }

  /** Give a new node its picture, and follow its dropdown. */
  attach(node) {
    const image = html("img", { alt: "", draggable: "false" });
    const beside = html("img", { class: "metastyle-beside", alt: "", draggable: "false" });
    const note = html("p");
    const element = html("div", { class: "metastyle-thumbnail" }, image, beside, note);
    addElement(node, "metastyle_picture", element, { min: WIDGET_HEIGHT_PX });
    this.#shown.set(node, { image, beside, note });
    const choice = styleWidget(node);
    const chosen = choice.callback;
    choice.callback = (...values) => {
      chosen?.apply(choice, values);
      this.redraw(node);
    };
    const removed = node.onRemoved;
    node.onRemoved = () => {
      this.#shown.delete(node);
      removed?.call(node);
    };
    queueMicrotask(() => this.redraw(node));
  }

  /** Show what is chosen now: after loading, pasting or undoing. */
  redraw(node) {
    const shown = this.#shown.get(node);
    const name = styleWidget(node)?.value;
    if (!shown || !name) return;
    const { url, note, beside } = this.pictureOf(name);
    show(shown.image, url);
    show(shown.beside, beside);
    shown.image.alt = url ? name : "";
    shown.note.textContent = note;
  }

  /** Show all pictures anew, when the list of styles has changed. */
  redrawAll() {
    for (const node of this.#shown.keys()) this.redraw(node);
  }
}

function show(image, url) {
  if (url) image.src = url;
  else image.removeAttribute("src");
  image.hidden = !url;
}
