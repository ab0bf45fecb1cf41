// What the Styles tab does: it joins the gallery, the server's styles folder and the graph.

import { html } from "./elements.js";
import { Favourites } from "./favourites.js";
import { Gallery } from "./gallery.js";
import {
  addLoader,
  canvasCentre,
  canvasPlace,
  changeGraph,
  chooseStyle,
  chooserAt,
  offerStyles,
  offerStylesTo,
  renameStyle,
  styleWidget,
} from "./graph.js";
import { split } from "./notices.js";
import { label, lineOf, lineOfUnknown } from "./style_list.js";
import { StylesApi } from "./styles_api.js";
import { say } from "./text.js";

export class StylesTab {
  #app;
  #liteGraph;
  #server;
  #favourites;
  #gallery = null;
  #styles = [];
  #version = Date.now();
  #renamed = new Map();

  /** Called after each reading of the styles folder. */
  onList = () => {};

  constructor(app, api, liteGraph) {
    this.#app = app;
    this.#liteGraph = liteGraph;
    this.#server = new StylesApi(api);
    this.#favourites = new Favourites(() => app.extensionManager.setting);
  }

  /** The tab as the host's sidebar wants it. */
  get definition() {
    return {
      id: "metastyle.styles",
      icon: "pi pi-palette",
      title: say("tab"),
      tooltip: say("tabTooltip"),
      label: say("tab"),
      type: "custom",
      render: (container) => this.#render(container),
    };
  }

  /** Address of a style's picture, or what to write in its place, and of the one beside it. */
  pictureOf = (name) => {
    const style = this.#named(name);
    if (!style) return { url: null, note: this.#styles.length ? say("missing") : "" };
    if (style.error) return { url: null, note: style.error };
    if (!style.thumbnail) return { url: null, note: say("noPicture") };
    const url = this.#server.thumbnailUrl(name, this.#version);
    const beside = style.painting && this.#server.thumbnailUrl(name, this.#version, { kind: "painting" });
    return { url, note: "", beside };
  };

  /** Whether there is a style of a name. */
  has = (name) => this.#named(name) !== undefined;

  /** What a list shows for a style. */
  titleOf = (name) => {
    const style = this.#named(name);
    return style ? lineOf(style) : lineOfUnknown(name ?? "");
  };

  /** The server says that a style was saved, renamed or deleted, from here or elsewhere. */
  changed({ renamed }) {
    if (renamed) this.#follow(...renamed);
    return this.refresh();
  }

  /** Give a new or opened node the styles of now, and the name that its style has now. */
  update(node) {
    const widget = styleWidget(node);
    if (widget) offerStylesTo(node, this.#styles.length ? this.#usable : widget.options.values, this.titleOf);
    for (let left = this.#renamed.size; left > 0 && widget; left -= 1) {
      const next = this.#renamed.get(widget.value);
      if (!next || this.has(widget.value)) return;
      widget.value = next;
    }
  }

  /** Read the styles folder again and show it everywhere. */
  refresh = async () => {
    let problem = null;
    try {
      this.#styles = await this.#server.list();
      this.#version = Date.now();
      offerStyles(this.#app.graph, this.#usable, this.titleOf);
    } catch (error) {
      problem = error.message;
    }
    this.#gallery?.show(this.#styles, problem);
    this.onList();
  };

  #named(name) {
    return this.#styles.find((style) => style.name === name);
  }

  get #usable() {
    return this.#styles.filter((style) => !style.error).map((style) => style.name);
  }

  /** Let the loaders of the open graph follow a rename, and those of others once they open. */
  #follow(name, newName) {
    this.#renamed.set(name, newName);
    this.#renamed.delete(newName);
    changeGraph(this.#app, () => renameStyle(this.#app.graph, name, newName));
    void this.#favourites.follow(name, newName);
  }

  #render(container) {
    container.classList.add("metastyle-tab");
    this.#gallery ??= new Gallery({
      add: (style) => this.#add(style, canvasCentre(this.#app)),
      addAt: (style, x, y) => this.#addAt(style, x, y),
      rename: (style) => this.#rename(style),
      duplicate: (style) => this.#change(() => this.#server.duplicate(style.name)),
      download: (style) => download(this.#server.fileUrl(style.name)),
      showFile: (style) => this.#showFile(style),
      remove: (style) => this.#remove(style),
      favour: (style) => this.#change(() => this.#favourites.toggle(style.name)),
      isFavourite: (name) => this.#favourites.has(name),
      take: (files) => this.#take(files),
      refresh: this.refresh,
      pictureOf: this.pictureOf,
    });
    container.replaceChildren(this.#gallery.element);
    return this.refresh();
  }

  #add(style, place) {
    addLoader(this.#app, this.#liteGraph, style.name, place);
  }

  /** Dropped on a node that chooses a style a card changes it, elsewhere it brings a node. */
  #addAt(style, clientX, clientY) {
    const place = canvasPlace(this.#app, clientX, clientY);
    if (!place) return;
    const node = chooserAt(this.#app, place);
    if (node) chooseStyle(this.#app, node, style.name);
    else this.#add(style, place);
  }

  /** Take files in one after another; each that cannot be taken says why. */
  async #take(files) {
    for (const file of files) await this.#change(() => this.#server.add(file));
  }

  async #showFile(style) {
    const copied = await navigator.clipboard?.writeText(style.file).then(() => true, () => false);
    const summary = say(copied ? "fileCopied" : "file");
    this.#app.extensionManager.toast.add({ severity: "info", summary, detail: style.file, life: 15_000 });
  }

  async #rename(style) {
    const answer = await this.#app.extensionManager.dialog.prompt({
      title: say("renameTitle"),
      message: say("renameMessage"),
      defaultValue: style.name,
    });
    const name = answer?.trim();
    if (!name || name === style.name) return;
    await this.#change(async () => {
      const answer = await this.#server.rename(style.name, name);
      this.#follow(style.name, answer.name);
    });
  }

  async #remove(style) {
    const sure = await this.#app.extensionManager.dialog.confirm({
      title: say("removeTitle"),
      message: say("removeMessage"),
      type: "delete",
      itemList: [label(style)],
    });
    if (sure) await this.#change(() => this.#server.remove(style.name));
  }

  async #change(action) {
    try {
      await action();
    } catch (error) {
      const [summary, detail] = split(error.message);
      this.#app.extensionManager.toast.add({ severity: "error", summary, detail, life: 8000 });
    }
    await this.refresh();
  }
}

/** Let the browser save what is at an address. */
function download(address) {
  html("a", { href: address, download: "" }).click();
}
