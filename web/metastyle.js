// What MetaStyle adds to the browser side of ComfyUI. This file only registers; the work is in lib/.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { html } from "./lib/elements.js";
import { LOAD_NODE, SAVE_NODE, changeGraph, findNode, learns } from "./lib/graph.js";
import { LossCurves } from "./lib/loss_curve.js";
import { stopButtons } from "./lib/stop_button.js";
import { StylesTab } from "./lib/styles_tab.js";
import { loadWords } from "./lib/text.js";
import { StyleThumbnails } from "./lib/thumbnail.js";

const curves = new LossCurves();
const tab = new StylesTab(app, api, window.LiteGraph);
const thumbnails = new StyleThumbnails(tab.pictureOf);

function onLosses({ detail }) {
  const node = findNode(app.graph, detail.node);
  if (learns(node?.type)) curves.extend(node, detail);
}

function onExecuted({ detail }) {
  const node = findNode(app.graph, detail.display_node ?? detail.node);
  if (learns(node?.type) && detail.output?.metastyle_losses) {
    changeGraph(app, () => curves.finish(node, detail.output.metastyle_losses));
  }
  if (node?.type === SAVE_NODE) return tab.refresh();
}

app.registerExtension(stopButtons(app, api));
app.registerExtension({
  name: "metastyle",

  async init() {
    const sheet = new URL("./metastyle.css", import.meta.url).href;
    document.head.append(html("link", { rel: "stylesheet", href: sheet }));
    await loadWords(api, app.extensionManager.setting.get("Comfy.Locale"));
  },

  async setup() {
    tab.onList = () => thumbnails.redrawAll();
    api.addEventListener("metastyle.losses", onLosses);
    api.addEventListener("executed", onExecuted);
    app.extensionManager.registerSidebarTab(tab.definition);
    await tab.refresh();
  },

  nodeCreated(node) {
    if (learns(node.comfyClass)) curves.attach(node);
    if (node.comfyClass === LOAD_NODE) thumbnails.attach(node);
  },

  loadedGraphNode(node) {
    if (learns(node.comfyClass)) curves.redraw(node);
    if (node.comfyClass === LOAD_NODE) thumbnails.redraw(node);
  },
});
