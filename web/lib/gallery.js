// The Styles sidebar tab: all styles with their pictures, a search, and what can be done with each.

import { makeDraggable } from "./drag.js";
import { html } from "./elements.js";
import { folder, group, label } from "./style_list.js";
import { say } from "./text.js";

/**
 * The gallery. It shows a list and reports wishes; it asks no server and knows no graph.
 *
 * wishes.add(style), wishes.addAt(style, clientX, clientY), wishes.rename(style),
 * wishes.remove(style), wishes.refresh(); wishes.pictureOf(name) gives {url, note}.
 */
export class Gallery {
  #wishes;
  #styles = [];
  #problem = null;
  #search = html("input", { type: "search", placeholder: say("search"), "aria-label": say("search") });
  #list = html("div", { class: "metastyle-gallery-list" });

  constructor(wishes) {
    this.#wishes = wishes;
    this.#search.addEventListener("input", () => this.#draw());
    const refresh = iconButton("pi-refresh", say("refresh"), () => wishes.refresh());
    this.element = html(
      "section",
      { class: "metastyle-gallery", "aria-label": say("tabTooltip") },
      html("header", {}, this.#search, refresh),
      this.#list,
    );
  }

  /** Show a list of styles, or why there is none. */
  show(styles, problem = null) {
    this.#styles = styles;
    this.#problem = problem;
    this.#draw();
  }

  #draw() {
    const { saved, shipped } = group(this.#styles, this.#search.value);
    const parts = [];
    if (this.#problem) parts.push(note(say("unreachable", { reason: this.#problem })));
    if (saved.length) parts.push(...this.#section(say("saved"), saved));
    else if (!this.#search.value && !this.#problem) parts.push(note(say("noneSaved")));
    if (shipped.length) parts.push(...this.#section(say("shipped"), shipped));
    if (this.#search.value && !saved.length && !shipped.length) parts.push(note(say("noneFound")));
    this.#list.replaceChildren(...parts);
  }

  #section(title, styles) {
    const cards = styles.map((style) => this.#card(style));
    return [html("h3", {}, title), html("ul", {}, ...cards)];
  }

  #card(style) {
    const name = label(style);
    const buttons = style.shipped
      ? []
      : [
          iconButton("pi-pencil", `${say("rename")}: ${name}`, () => this.#wishes.rename(style)),
          iconButton("pi-trash", `${say("remove")}: ${name}`, () => this.#wishes.remove(style)),
        ];
    if (style.error) return damagedCard(style, name, buttons);
    const card = html(
      "li",
      {
        class: "metastyle-card",
        tabindex: "0",
        "data-style": style.name,
        title: `${style.name}\n${say("addHint")}`,
        "aria-label": say("add", { name }),
        ondblclick: () => this.#wishes.add(style),
        onkeydown: (event) => this.#key(event, style),
      },
      this.#picture(style),
      caption(style, name),
      html("div", { class: "metastyle-card-buttons" }, ...buttons),
    );
    makeDraggable(card, () => this.#picture(style), (x, y) => this.#wishes.addAt(style, x, y));
    return card;
  }

  #picture(style) {
    const { url, note: missing } = this.#wishes.pictureOf(style.name);
    if (!url) return html("div", { class: "metastyle-card-blank" }, missing);
    return html("img", { src: url, alt: "", loading: "lazy", draggable: "false" });
  }

  #key(event, style) {
    if (event.target !== event.currentTarget) return;
    if (event.key === "Enter") this.#wishes.add(style);
    else if (event.key === "F2" && !style.shipped) this.#wishes.rename(style);
    else if (event.key === "Delete" && !style.shipped) this.#wishes.remove(style);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function damagedCard(style, name, buttons) {
  return html(
    "li",
    { class: "metastyle-card metastyle-damaged", "data-style": style.name, title: style.error },
    html("div", { class: "metastyle-card-blank" }, say("damaged")),
    caption(style, name),
    html("div", { class: "metastyle-card-buttons" }, ...buttons),
  );
}

function caption(style, name) {
  const where = style.shipped ? "" : folder(style);
  return html("span", {}, name, ...(where ? [html("small", {}, where)] : []));
}

function note(text) {
  return html("p", { class: "metastyle-note" }, text);
}

function iconButton(icon, title, onclick) {
  const symbol = html("i", { class: `pi ${icon}`, "aria-hidden": "true" });
  return html("button", { type: "button", title, "aria-label": title, onclick }, symbol);
}
