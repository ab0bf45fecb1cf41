// What the Styles tab does: it joins the gallery, the server's styles folder and the graph.

import { Gallery } from "./gallery.js";
import {
  addLoader,
  canvasCentre,
  canvasPlace,
  changeGraph,
  offerStyles,
  offerStylesTo,
  renameStyle,
  styleWidget,
} from "./graph.js";
import { split } from "./notices.js";
import { label } from "./style_list.js";
import { StylesApi } from "./styles_api.js";
import { say } from "./text.js";

export class StylesTab {
  #app;
  #liteGraph;
  #server;
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

  /** Address of a style's picture, or what to write in its place. */
  pictureOf = (name) => {
    const style = this.#styles.find((each) => each.name === name);
    if (!style) return { url: null, note: this.#styles.length ? say("missing") : "" };
    if (style.error) return { url: null, note: style.error };
    if (!style.thumbnail) return { url: null, note: say("noPicture") };
    return { url: this.#server.thumbnailUrl(name, this.#version), note: "" };
  };

  /** Whether there is a style of a name. */
  has = (name) => this.#styles.some((style) => style.name === name);

  /** The server says that a style was saved, renamed or deleted, from here or elsewhere. */
  changed({ renamed }) {
    if (renamed) this.#follow(...renamed);
    return this.refresh();
  }

  /** Give a new or opened loader node the styles of now, and the name that its style has now. */
  update(node) {
    if (this.#styles.length) offerStylesTo(node, this.#usable);
    const widget = styleWidget(node);
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
      offerStyles(this.#app.graph, this.#usable);
    } catch (error) {
      problem = error.message;
    }
    this.#gallery?.show(this.#styles, problem);
    this.onList();
  };

  get #usable() {
    return this.#styles.filter((style) => !style.error).map((style) => style.name);
  }

  /** Let the loaders of the open graph follow a rename, and those of others once they open. */
  #follow(name, newName) {
    this.#renamed.set(name, newName);
    this.#renamed.delete(newName);
    changeGraph(this.#app, () => renameStyle(this.#app.graph, name, newName));
  }

  #render(container) {
    container.classList.add("metastyle-tab");
    this.#gallery ??= new Gallery({
      add: (style) => this.#add(style, canvasCentre(this.#app)),
      addAt: (style, x, y) => this.#addAt(style, x, y),
      rename: (style) => this.#rename(style),
      remove: (style) => this.#remove(style),
      refresh: this.refresh,
      pictureOf: this.pictureOf,
    });
    container.replaceChildren(this.#gallery.element);
    return this.refresh();
  }

  #add(style, place) {
    addLoader(this.#app, this.#liteGraph, style.name, place);
  }

  #addAt(style, clientX, clientY) {
    const place = canvasPlace(this.#app, clientX, clientY);
    if (place) this.#add(style, place);
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
