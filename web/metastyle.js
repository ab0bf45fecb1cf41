// What MetaStyle adds to the browser side of ComfyUI. This file only registers; the work is in lib/.

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { colourSockets } from "./lib/colours.js";
import { firstCopy, furtherCopy } from "./lib/copies.js";
import { html } from "./lib/elements.js";
import { FAVOURITES } from "./lib/favourites.js";
import { SAVE_NODE, changeGraph, choosesStyle, findNode, learns, ours } from "./lib/graph.js";
import { callByWord, forgetIds } from "./lib/labels.js";
import { LossCurves } from "./lib/loss_curve.js";
import { Notices } from "./lib/notices.js";
import { Prompts } from "./lib/prompts.js";
import { askWhereTaken, fillsName, readOldChoice } from "./lib/saving.js";
import { stopButtons } from "./lib/stop_button.js";
import { StylesTab } from "./lib/styles_tab.js";
import { loadWords } from "./lib/text.js";
import { folderOf, inOrder } from "./lib/templates.js";
import { StyleThumbnails } from "./lib/thumbnail.js";

const curves = new LossCurves();
const notices = new Notices(app);
const prompts = new Prompts(app);
const tab = new StylesTab(app, api, window.LiteGraph);
const thumbnails = new StyleThumbnails(tab.pictureOf);
const folder = folderOf(import.meta.url);

function onLosses({ detail }) {
  prompts.deliver(detail.prompt_id, () => {
    const node = findNode(app.graph, detail.node);
    if (learns(node?.type)) curves.extend(node, detail);
    return Boolean(node);
  });
}

function onExecuted({ detail }) {
  const losses = detail.output?.metastyle_losses;
  if (!losses) return;
  prompts.deliver(detail.prompt_id, () => {
    const node = findNode(app.graph, detail.display_node ?? detail.node);
    if (learns(node?.type)) changeGraph(app, () => curves.finish(node, losses));
    return Boolean(node);
  });
}

const extension = {
  name: "metastyle",
  settings: [FAVOURITES],

  async init() {
    const sheet = new URL("./metastyle.css", import.meta.url).href;
    document.head.append(html("link", { rel: "stylesheet", href: sheet }));
    inOrder(api, folder);
    await loadWords(api, app.extensionManager.setting.get("Comfy.Locale"));
  },

  async setup() {
    tab.onList = () => thumbnails.redrawAll();
    colourSockets(app, window.LGraphCanvas);
    prompts.follow(api, {
      before: (nodes) => askWhereTaken(app, nodes, tab.has),
      refused: (nodes) => notices.refused(nodes),
    });
    api.addEventListener("metastyle.losses", onLosses);
    api.addEventListener("metastyle.styles", ({ detail }) => tab.changed(detail));
    api.addEventListener("executed", onExecuted);
    api.addEventListener("execution_error", ({ detail }) => notices.failed(detail));
    app.extensionManager.registerSidebarTab(tab.definition);
    await tab.refresh();
  },

  nodeCreated(node) {
    if (ours(node.comfyClass)) callByWord(node);
    if (learns(node.comfyClass)) curves.attach(node);
    if (node.comfyClass === SAVE_NODE) fillsName(app, node);
    if (!choosesStyle(node.comfyClass)) return;
    thumbnails.attach(node);
    tab.update(node);
  },

  loadedGraphNode(node) {
    if (ours(node.comfyClass)) forgetIds(node);
    if (learns(node.comfyClass)) curves.redraw(node);
    if (node.comfyClass === SAVE_NODE) readOldChoice(node);
    if (!choosesStyle(node.comfyClass)) return;
    tab.update(node);
    thumbnails.redraw(node);
  },

  afterConfigureGraph() {
    void prompts.opened();
  },
};

const first = firstCopy(folder);
if (first === folder) {
  // The host listens only once all extensions are read, and what is another workflow's must not reach it.
  prompts.guard(api);
  app.registerExtension(stopButtons(app, api, (prompt) => prompts.isOpen(prompt)));
  app.registerExtension(extension);
} else {
  app.registerExtension(furtherCopy(app, api, first, folder));
}
