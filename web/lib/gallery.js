// The Styles sidebar tab: all styles with their pictures, a search, and what can be done with each.

import { openMenu } from "./card_menu.js";
import { makeDraggable } from "./drag.js";
import { html } from "./elements.js";
import { folder, group, label } from "./style_list.js";
import { say } from "./text.js";

/**
 * The gallery. It shows a list and reports wishes; it asks no server and knows no graph.
 *
 * wishes.add(style), wishes.addAt(style, clientX, clientY), wishes.rename(style),
 * wishes.duplicate(style), wishes.download(style), wishes.showFile(style), wishes.remove(style),
 * wishes.favour(style), wishes.take(files), wishes.refresh(); wishes.pictureOf(name) gives
 * {url, note, beside}, wishes.isFavourite(name) whether it is one.
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
      {
        class: "metastyle-gallery",
        "aria-label": say("tabTooltip"),
        ondragover: (event) => hasFiles(event) && hold(event),
        ondrop: (event) => this.#drop(event),
      },
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
    const search = this.#search.value;
    const { favourites, saved, shipped } = group(this.#styles, search, this.#wishes.isFavourite);
    const parts = [];
    if (this.#problem) parts.push(note(say("unreachable", { reason: this.#problem })));
    if (favourites.length) parts.push(...this.#section(say("favourites"), favourites));
    for (const [name, styles] of saved) parts.push(...this.#section(name || say("saved"), styles));
    if (!saved.length && !search && !this.#problem) parts.push(note(say("noneSaved")));
    if (shipped.length) parts.push(...this.#section(say("shipped"), shipped));
    if (search && !saved.length && !shipped.length) parts.push(note(say("noneFound")));
    this.#list.replaceChildren(...parts);
  }

  #section(title, styles) {
    const cards = styles.map((style) => this.#card(style));
    return [html("h3", {}, title), html("ul", {}, ...cards)];
  }

  #card(style) {
    const name = label(style);
    const menu = iconButton("pi-ellipsis-v", `${say("more")}: ${name}`, (event) => this.#menu(event, style));
    const buttons = html("div", { class: "metastyle-card-buttons" }, menu);
    const oncontextmenu = (event) => this.#menu(event, style);
    if (style.error) return damagedCard(style, name, buttons, oncontextmenu);
    const card = html(
      "li",
      {
        class: "metastyle-card",
        tabindex: "0",
        "data-style": style.name,
        title: `${label(style)}\n${say("addHint")}`,
        "aria-label": say("add", { name }),
        ondblclick: () => this.#wishes.add(style),
        onkeydown: (event) => this.#key(event, style),
        oncontextmenu,
      },
      this.#picture(style),
      ...this.#painting(style),
      caption(style, name, this.#wishes.isFavourite(style.name)),
      buttons,
    );
    makeDraggable(card, () => this.#picture(style), (x, y) => this.#wishes.addAt(style, x, y));
    return card;
  }

  #picture(style) {
    const { url, note: missing } = this.#wishes.pictureOf(style.name);
    if (!url) return html("div", { class: "metastyle-card-blank" }, missing);
    return html("img", { src: url, alt: "", loading: "lazy", draggable: "false" });
  }

  /** The picture that the user keeps beside it, in a corner. */
  #painting(style) {
    const { beside } = this.#wishes.pictureOf(style.name);
    return beside ? [html("img", { class: "metastyle-beside", src: beside, alt: "", draggable: "false" })] : [];
  }

  #menu(event, style) {
    event.preventDefault();
    event.stopPropagation();
    const box = event.currentTarget.getBoundingClientRect();
    const place = event.clientX ? { x: event.clientX, y: event.clientY } : { x: box.left, y: box.bottom };
    openMenu(place, this.#entries(style));
  }

  #entries(style) {
    const entry = (icon, word, wish) => ({ icon, text: say(word), act: () => this.#wishes[wish](style) });
    const favoured = this.#wishes.isFavourite(style.name);
    const usable = [
      entry("pi-plus", "addShort", "add"),
      entry(favoured ? "pi-star-fill" : "pi-star", favoured ? "unfavour" : "favour", "favour"),
      entry("pi-copy", "duplicate", "duplicate"),
    ];
    const own = [entry("pi-pencil", "rename", "rename"), entry("pi-trash", "remove", "remove")];
    return [
      ...(style.error ? [] : usable),
      entry("pi-download", "export", "download"),
      entry("pi-folder-open", "showFile", "showFile"),
      ...(style.shipped ? [] : own),
    ];
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

  #drop(event) {
    if (!hasFiles(event)) return;
    hold(event);
    this.#wishes.take([...event.dataTransfer.files]);
  }
}

function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

/** Keep a drag of files from the host, which would open them as workflows. */
function hold(event) {
  event.preventDefault();
  event.stopPropagation();
}

function damagedCard(style, name, buttons, oncontextmenu) {
  return html(
    "li",
    { class: "metastyle-card metastyle-damaged", "data-style": style.name, title: style.error, oncontextmenu },
    html("span", {}, name, html("small", {}, `${say("damaged")}: ${style.error}`)),
    buttons,
  );
}

function caption(style, name, isFavourite) {
  const where = style.shipped ? "" : folder(style);
  const star = html("i", { class: "pi pi-star-fill", "aria-label": say("favourites") });
  return html("span", {}, ...(isFavourite ? [star, " "] : []), name, ...(where ? [html("small", {}, where)] : []));
}

function note(text) {
  return html("p", { class: "metastyle-note" }, text);
}

function iconButton(icon, title, onclick) {
  const symbol = html("i", { class: `pi ${icon}`, "aria-hidden": "true" });
  return html("button", { type: "button", title, "aria-label": title, onclick }, symbol);
}
