// What the Styles tab does: it joins the gallery, the server's styles folder and the graph.

import { Gallery } from "./gallery.js";
import { addLoader, canvasCentre, canvasPlace, changeGraph, offerStyles, renameStyle } from "./graph.js";
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

  /** Read the styles folder again and show it everywhere. */
  refresh = async () => {
    let problem = null;
    try {
      this.#styles = await this.#server.list();
      this.#version = Date.now();
      const usable = this.#styles.filter((style) => !style.error);
      offerStyles(this.#app.graph, usable.map((style) => style.name));
    } catch (error) {
      problem = error.message;
    }
    this.#gallery?.show(this.#styles, problem);
    this.onList();
  };

  #render(container) {
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
      await this.#server.rename(style.name, name);
      changeGraph(this.#app, () => renameStyle(this.#app.graph, style.name, name));
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
      const message = { severity: "error", summary: say("failed"), detail: error.message };
      this.#app.extensionManager.toast.add({ ...message, life: 8000 });
    }
    await this.refresh();
  }
}
