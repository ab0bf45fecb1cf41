// Scenes of a designer's day, each in a page of its own. Run by test_browser_day.py:
//
//   node day.mjs '{…, "scene": …, "examples": …, "picture": …}'
//
// What a scene saw goes to standard output as JSON.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { isProblem } from "./noise.mjs";
import { Stage } from "./stage.mjs";

const task = JSON.parse(process.argv[2]);
const stage = new Stage(task);
const ADAPT = "MetaStyleAdaptToStyle";
const LOAD = "MetaStyleLoadStyle";
const PRESET = "MetaStyleStylizeWithPreset";
const SAVE = "MetaStyleSaveStyle";
const DRAWN = "SaveImage";
const REPORT = "PreviewAny";
const STEPS = 60;
const MANY_STEPS = 2000;
const SEEN_STEPS = 5;
const PAUSE_MS = 200;

let page;
const scenes = {
  tabs, stopping, stoppingEach, panel, gallery, cards, shortcuts, film, windows, examples, models,
  errors, asking, words, sockets, help,
};
try {
  await stage.start();
  page = stage.page;
  const seen = await scenes[task.scene]();
  seen.problems = stage.problems.filter(isProblem);
  process.stdout.write(JSON.stringify(seen));
} catch (error) {
  await stage.shot(`${task.scene}-failed`);
  process.stderr.write(`${error.stack}\n${stage.problems.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await stage.stop();
}

/** Two tabs of one workflow: run the first, look at the second meanwhile, come back. */
async function tabs() {
  const workflow = await learning();
  await stage.loadGraph(workflow, "first");
  await stage.loadGraph(workflow, "second");
  await openTab("first");
  await stage.set(ADAPT, "seed", fresh());
  await stage.pressRun();
  await page.waitForFunction(hasPoints, ADAPT);
  await openTab("second");
  const [end] = await page.evaluate(() => window.ended);
  await stage.shot("tabs-second");
  const second = await pictureAndPoints();
  await openTab("first");
  await page.waitForFunction(
    ([type, steps]) => window.app.graph.nodes.find((each) => each.type === type)
      .properties.metastyle_losses?.at(-1)[0] === steps,
    [ADAPT, STEPS],
  );
  await page.waitForFunction(hasPictures, SAVE);
  await stage.shot("tabs-first");
  return { end, second, first: await pictureAndPoints() };
}

/** A long run that its button ends early: how it ended, and what came of it. */
async function stopping() {
  await stage.loadGraph(await learning(), "stopping");
  await stage.set(ADAPT, "steps", MANY_STEPS);
  await stage.set(ADAPT, "seed", fresh());
  await stage.set(SAVE, "name", `stopping/${task.renderer}`);
  await showReport();
  await stage.pressRun();
  const button = page.locator(".metastyle-stop");
  await page.waitForFunction(canStop, [ADAPT, SEEN_STEPS]);
  await stage.shot("stopping");
  await button.click();
  const [end] = await page.evaluate(() => window.ended);
  await button.waitFor({ state: "detached" });
  for (const type of [SAVE, DRAWN]) await page.waitForFunction(hasPictures, type);
  const report = await page.evaluate(textOf, REPORT);
  await settled();
  await stage.shot("stopping-after");
  return { end, report };
}

/** True when a node has done some steps and its button can be pressed. */
function canStop([type, least]) {
  const node = window.app.graph.nodes.find((each) => each.type === type);
  const button = document.querySelector(".metastyle-stop:enabled");
  return button && node.properties.metastyle_losses?.at(-1)?.[0] >= least;
}

/** Two seeds, which a folder of two pictures gives by their widths: each style is ended early. */
async function stoppingEach() {
  await stage.loadGraph(await learning(), "stopping-each");
  await stage.set(ADAPT, "steps", MANY_STEPS);
  await stage.set(SAVE, "name", `stopping/each_${task.renderer}`);
  await page.evaluate(([type, folder]) => {
    const { graph } = window.app;
    const node = graph.nodes.find((each) => each.type === type);
    const [pictures, sizes] = ["LoadImageDataSetFromFolder", "GetImageSize"]
      .map((each) => window.LiteGraph.createNode(each));
    [pictures, sizes].forEach((each, i) => {
      each.pos = [node.pos[0] + 360 * i, node.pos[1] + node.size[1] + 80];
      graph.add(each);
    });
    pictures.widgets[0].value = folder;
    pictures.connect(0, sizes, 0);
    sizes.connect(0, node, node.inputs.findIndex((input) => input.name === "seed"));
  }, [ADAPT, task.folder]);
  await stage.fitView();
  await stage.pressRun();
  const button = page.locator(".metastyle-stop");
  for (const place of [1, 2]) {
    await page.waitForFunction(canStop, [ADAPT, SEEN_STEPS]);
    await stage.shot(`stopping-${place}`);
    await button.click();
  }
  const [end] = await page.evaluate(() => window.ended);
  await button.waitFor({ state: "detached" });
  await page.waitForFunction(hasPictures, DRAWN);
  await settled();
  await stage.shot("stopping-each");
  return { end };
}

/** A node beside the one that learns, for its report. */
async function showReport() {
  await page.evaluate(([adapting, showing]) => {
    const node = window.app.graph.nodes.find((each) => each.type === adapting);
    const shown = window.LiteGraph.createNode(showing);
    shown.pos = [node.pos[0], node.pos[1] + node.size[1] + 80];
    window.app.graph.add(shown);
    node.connect(node.outputs.findIndex((output) => output.name === "report"), shown, 0);
  }, [ADAPT, REPORT]);
  await stage.fitView();
}

/** The side panel beside a node that learns and one that loads: widths before and after. */
async function panel() {
  await stage.loadGraph(await learning(), "panel");
  const before = await curveWidth();
  const listed = [];
  for (const type of [ADAPT, LOAD]) {
    if (type === LOAD) await addNode(LOAD);
    await page.evaluate((wanted) => {
      const node = window.app.graph.nodes.find((each) => each.type === wanted);
      window.app.canvas.deselectAll();
      window.app.canvas.selectNode(node);
    }, type);
    await settled();
    const items = page.locator(".widget-item");
    if (!(await items.first().isVisible())) {
      await page.getByRole("button", { name: "Toggle properties panel" }).first().click();
    }
    await items.first().waitFor();
    listed.push(...(await items.allInnerTexts()));
    await stage.shot(`panel-${type}`);
  }
  return { before, after: await curveWidth(), listed };
}

/** The list of styles scrolled to its end: what of the search can still be seen. */
async function gallery() {
  await openStyles();
  const search = page.locator(".metastyle-gallery").getByRole("searchbox");
  await page.locator(".metastyle-card").last().scrollIntoViewIfNeeded();
  const last = await page.locator(".metastyle-card").last().boundingBox();
  await stage.shot("gallery-end");
  const box = await search.boundingBox();
  const seenThrough = await page.evaluate(
    ([x, y]) => document.elementFromPoint(x, y)?.type ?? null,
    [box.x + box.width / 2, box.y + box.height / 2],
  );
  return { search: seenThrough, above: box.y < last.y };
}

/** A card on a node changes it; a card's menu; a file that is dropped on the tab. */
async function cards() {
  const seen = {};
  const preset = "presets/hokusai_great_wave";
  const copy = "hokusai_great_wave";
  const gallery = page.locator(".metastyle-gallery");
  const card = (name) => gallery.locator(`[data-style="${name}"]`);
  const choose = async (name, word) => {
    await card(name).first().click({ button: "right" });
    await page.getByRole("menuitem", { name: word }).click();
  };
  await openStyles();
  await addNode(LOAD);
  await settled();
  await dragTo(card(preset), await placeOfNode(LOAD));
  await page.waitForFunction(isChosen, [LOAD, preset]);
  seen.loaders = await page.evaluate(
    (type) => window.app.graph.nodes.filter((each) => each.type === type).length, LOAD,
  );
  seen.title = await page.evaluate(shownStyle, LOAD);
  await choose(preset, "Duplicate");
  await page.waitForFunction(hasItsPictures, copy);
  await choose(copy, "Add to favourites");
  await card(copy).nth(1).waitFor();
  await stage.shot("cards");
  const [download] = await Promise.all([page.waitForEvent("download"), choose(copy, "Export")]);
  seen.exported = download.suggestedFilename();
  await choose(copy, "Remove from favourites");
  await card(copy).nth(1).waitFor({ state: "detached" });
  await page.waitForFunction(hasItsPictures, copy);
  await card(copy).press("Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await card(copy).waitFor({ state: "detached" });
  await page.evaluate(dropFile, [preset, `${copy}.safetensors`]);
  await page.waitForFunction(hasItsPictures, copy);
  await stage.ask("/metastyle/styles/delete", { name: copy });
  await card(copy).waitFor({ state: "detached" });
  const kept = `cards/${task.renderer}_kept`;
  await saveStyle(kept, { painting: ["2", 0] });
  await page.waitForFunction(hasItsPictures, kept);
  const beside = await card(kept).locator(".metastyle-beside").boundingBox();
  seen.share = beside.width / (await card(kept).boundingBox()).width;
  await stage.shot("painting");
  await stage.ask("/metastyle/styles/delete", { name: kept });
  return seen;
}

/** The node for the hurried, a blueprint and an app, each from opening to its pictures. */
async function shortcuts() {
  const listed = Object.values(await stage.ask("/global_subgraphs"));
  const ours = listed.filter((each) => each.info.node_pack.endsWith("metastyle"));
  const seen = { blueprints: ours.map((each) => each.name).sort() };
  const blueprint = JSON.parse(await readFile(join(task.blueprints, `${seen.blueprints[1]}.json`), "utf8"));
  await stage.loadGraph(blueprint, "blueprint");
  await page.evaluate(surround, [task.picture, { steps: 1 }]);
  await stage.fitView();
  await settled();
  await stage.shot("blueprint");
  await stage.run();
  await page.evaluate(() => window.app.graph.clear());
  await addNode(PRESET);
  await page.evaluate(surround, [task.picture, { strength: 0.5 }]);
  await stage.fitView();
  await settled();
  await stage.shot("preset");
  await stage.run();
  seen.shown = await page.evaluate(shownStyle, PRESET);
  const [file] = (await readdir(task.examples)).filter((each) => each.startsWith("1") && each.endsWith("json"));
  await stage.load(join(task.examples, file), "app");
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.ToggleLinear"));
  await page.locator(".metastyle-curve").first().waitFor({ state: "hidden" });
  await settled();
  await stage.shot("app");
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.ToggleLinear"));
  return seen;
}

/** The blueprint for films as the page opens it, from a video file to one. */
async function film() {
  const file = join(task.blueprints, "Film in a Style.json");
  await stage.load(file, "film");
  await page.evaluate(([video, prefix]) => {
    const { graph } = window.app;
    const [node] = graph.nodes;
    const [source, target] = ["LoadVideo", "SaveVideo"].map((type) => window.LiteGraph.createNode(type));
    source.pos = [node.pos[0] - 400, node.pos[1]];
    target.pos = [node.pos[0] + node.size[0] + 80, node.pos[1]];
    for (const each of [source, target]) graph.add(each);
    source.widgets.find((each) => each.name === "file").value = video;
    target.widgets.find((each) => each.name === "filename_prefix").value = prefix;
    source.connect(0, node, node.inputs.findIndex((input) => input.type === "VIDEO"));
    node.connect(0, target, 0);
  }, [task.film, `film/${task.renderer}`]);
  await stage.fitView();
  await settled();
  await stage.run();
  await page.waitForFunction(hasPictures, "SaveVideo");
  await settled();
  await stage.shot("film");
  const widgets = await page.evaluate(() =>
    window.app.graph.nodes[0].widgets.map((each) => [each.name, each.value]));
  return { widgets: Object.fromEntries(widgets) };
}

/** Give the first node pictures for all its image inputs, values, and a place to show its images. */
function surround([picture, values]) {
  const { graph } = window.app;
  const [node] = graph.nodes;
  const add = (type) => {
    const made = window.LiteGraph.createNode(type);
    made.pos = [node.pos[0] + (type === "LoadImage" ? -400 : node.size[0] + 80), node.pos[1]];
    graph.add(made);
    return made;
  };
  const source = add("LoadImage");
  source.widgets[0].value = picture;
  node.inputs.forEach((input, slot) => input.type === "IMAGE" && source.connect(0, node, slot));
  for (const [name, value] of Object.entries(values)) {
    node.widgets.find((each) => each.name === name).value = value;
  }
  node.connect(node.outputs.findIndex((output) => output.type === "IMAGE"), add("PreviewImage"), 0);
}

/** True when a card is there and its pictures have come. */
function hasItsPictures(name) {
  const images = [...document.querySelectorAll(`.metastyle-gallery [data-style="${name}"] img`)];
  return images.length > 0 && images.every((image) => image.naturalWidth > 0);
}

async function dragTo(card, [x, y]) {
  await card.scrollIntoViewIfNeeded();
  const box = await card.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
  await page.mouse.down();
  await page.mouse.move(x, y, { steps: 8 });
  await page.locator(".metastyle-ghost img").waitFor();
  await page.mouse.up();
}

/** Where the middle of the first node of a type is on the page. */
function placeOfNode(type) {
  return page.evaluate((wanted) => {
    const node = window.app.graph.nodes.find((each) => each.type === wanted);
    const [left, top, width, height] = node.boundingRect;
    return window.app.canvasPosToClientPos([left + width / 2, top + height / 2]);
  }, type);
}

function isChosen([type, name]) {
  const node = window.app.graph.nodes.find((each) => each.type === type);
  return node.widgets.find((each) => each.name === "style").value === name;
}

/** What a node's list shows as chosen: on the page, or what the canvas draws. */
function shownStyle(type) {
  const node = window.app.graph.nodes.find((each) => each.type === type);
  const element = document.querySelector(`[data-node-id="${node.id}"]`);
  if (element) return element.innerText;
  const widget = node.widgets.find((each) => each.name === "style");
  return widget._displayValue ?? widget.options.getOptionLabel(widget.value);
}

/** Let the file of a style fall on the tab under another name. */
async function dropFile([name, fileName]) {
  const file = await fetch(`/metastyle/styles/file?name=${encodeURIComponent(name)}`);
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([await file.blob()], fileName));
  const target = document.querySelector(".metastyle-gallery-list");
  for (const kind of ["dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
  }
}

/** A style is saved by a script and renamed in another window; this one knows of both. */
async function windows() {
  const [name, renamed] = ["first", "second"].map((each) => `windows/${task.renderer}_${each}`);
  await openStyles();
  await saveStyle(name);
  await page.locator(`.metastyle-gallery [data-style="${name}"]`).waitFor();
  await addNode(LOAD);
  const offered = await page.evaluate(
    (type) => window.app.graph.nodes.find((each) => each.type === type)
      .widgets.find((widget) => widget.name === "style").options.values,
    LOAD,
  );
  await stage.set(LOAD, "style", name);
  await page.locator(".metastyle-thumbnail img[src]").first().waitFor();
  await stage.ask("/metastyle/styles/rename", { name, new_name: renamed });
  await page.locator(`.metastyle-gallery [data-style="${renamed}"]`).waitFor();
  const followed = await chosen();
  await stage.ask("/metastyle/styles/delete", { name: renamed });
  await page.locator(`.metastyle-gallery [data-style="${renamed}"]`).waitFor({ state: "detached" });
  await page.locator(".metastyle-thumbnail p").filter({ hasText: /\S/ }).first().waitFor();
  await stage.shot("windows");
  const pictures = await page.locator(".metastyle-thumbnail img[src]").count();
  return { offered: offered.includes(name), followed: followed === renamed, pictures };
}

/** All examples as they open: nodes that lie on one another, and titles that do not fit. */
async function examples() {
  const overlaps = {};
  const cut = {};
  for (const file of (await readdir(task.examples)).filter((each) => each.endsWith(".json")).sort()) {
    const name = file.replace(/\.json$/, "");
    await stage.load(join(task.examples, file), name);
    await stage.fitView();
    await settled();
    overlaps[name] = await page.evaluate(overlapping);
    cut[name] = await page.evaluate(cutTitles);
    await stage.shot(`example-${name.slice(0, 1)}`);
  }
  return { overlaps, cut };
}

/** Templates whose models are not there: nodes that the page lacks, errors, addresses it would open. */
async function models() {
  const seen = {};
  for (const file of (await readdir(task.examples)).filter((each) => /Z-Image.*json$/.test(each))) {
    const name = file.replace(/\.json$/, "");
    await stage.load(join(task.examples, file), name);
    const unknown = await page.evaluate(() => window.app.graph.nodes.map((node) => node.type)
      .filter((type) => !window.LiteGraph.registered_node_types[type]));
    await page.getByRole("button", { name: "View details" }).click();
    const all = page.getByTestId("missing-model-download-all");
    await all.waitFor();
    await stage.fitView();
    await settled();
    await stage.shot(`models-${name.slice(0, 1)}`);
    await page.evaluate(noteAddresses);
    await all.click();
    const errors = await page.getByText(/\d+ nodes — \d+ errors/).innerText();
    seen[name] = { unknown, errors, addresses: await page.evaluate(() => window.addresses.sort()) };
    await page.getByRole("button", { name: "Toggle properties panel" }).first().click();
  }
  return seen;
}

/** In place of following links that a click of ours would open, note where they lead. */
function noteAddresses() {
  window.addresses = [];
  window.HTMLAnchorElement.prototype.click = function () {
    window.addresses.push(this.href);
  };
}

/** A run that fails and one that is refused: the first words of the bubbles. */
async function errors() {
  await stage.loadGraph(await learning(), "errors");
  await stage.set("LoadImage", "image", task.tiny);
  await stage.pressRun();
  const toasts = page.locator(".p-toast-summary");
  await toasts.first().waitFor();
  const failed = await toasts.allInnerTexts();
  await stage.shot("errors-failed");
  await stage.set("LoadImage", "image", task.picture);
  await stage.set(SAVE, "name", "what? no");
  await page.locator(".p-toast-close-button").first().click();
  await toasts.first().waitFor({ state: "detached" });
  await stage.pressRun();
  await toasts.first().waitFor();
  const refused = await toasts.allInnerTexts();
  const reason = await page.locator(".p-toast-detail").first().innerText();
  await stage.shot("errors-refused");
  return { failed, refused, reason };
}

/** A name that is taken, and a node that asks. */
async function asking() {
  const name = `asking/${task.renderer}`;
  await openStyles();
  await saveStyle(name);
  await page.locator(`.metastyle-gallery [data-style="${name}"]`).waitFor();
  await stage.loadGraph(await learning(), "asking");
  await stage.set(ADAPT, "steps", 0);
  await stage.set(SAVE, "name", name);
  await stage.set(SAVE, "overwrite", "ask");
  await stage.run(async () => {
    await page.getByRole("dialog").waitFor();
    await stage.shot("asking");
    await page.getByRole("button", { name: "Keep both" }).click();
  });
  await page.locator(`.metastyle-gallery [data-style="${name}_2"]`).waitFor();
  await stage.set(ADAPT, "seed", fresh());
  await stage.run(async () => {
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
  });
  const { styles } = await stage.ask("/metastyle/styles");
  return { saved: styles.map((each) => each.name).filter((each) => each.startsWith(name)) };
}

/** The page in another language. */
async function words() {
  await page.evaluate((locale) => window.app.extensionManager.setting.set("Comfy.Locale", locale), task.locale);
  await page.reload();
  await stage.ready();
  await stage.loadGraph(await learning(), "words");
  const node = await page.evaluate((type) => {
    const found = window.app.graph.nodes.find((each) => each.type === type);
    return { title: found.title, widgets: found.widgets.map((each) => each.label) };
  }, ADAPT);
  const curve = await page.locator(".metastyle-curve p").first().innerText();
  const tab = await page.evaluate(() =>
    window.app.extensionManager.getSidebarTabs().find((each) => each.id === "metastyle.styles").title,
  );
  await stage.shot(`words-${task.locale}`);
  await page.evaluate(() => window.app.extensionManager.setting.set("Comfy.Locale", "en"));
  return { ...node, tab, curve };
}

/** Colours of our sockets, on the canvas or as elements; and the labels of the blend. */
async function sockets() {
  await stage.loadGraph(await learning(), "sockets");
  await addNode("MetaStyleBlendStyles");
  await settled();
  await stage.shot("sockets");
  return page.evaluate((types) => {
    const table = window.app.canvas.default_connection_color_byType;
    const root = getComputedStyle(document.documentElement);
    const blend = window.app.graph.nodes.find((node) => node.type === "MetaStyleBlendStyles");
    return {
      canvas: types.map((type) => table[type]),
      style: types.map((type) => root.getPropertyValue(`--color-datatype-${type}`).trim()),
      labels: blend.inputs.filter((each) => !each.widget).map((each) => each.label ?? each.localized_name ?? each.name),
    };
  }, ["METASTYLE_MODEL", "METASTYLE_STYLE"]);
}

/** The help of a node in its panel: what is wider than the panel. */
async function help() {
  await stage.loadGraph(await learning(), "help");
  await page.evaluate((type) => {
    const node = window.app.graph.nodes.find((each) => each.type === type);
    window.app.canvas.selectNode(node);
  }, ADAPT);
  await page.keyboard.press("Escape");
  await page.getByTestId("info-button").first().dispatchEvent("click");
  const content = page.locator(".node-help-content");
  await content.locator("li code").first().waitFor();
  await settled();
  await stage.shot("help");
  return content.evaluate((box) => {
    const edge = box.getBoundingClientRect().right + 1;
    const parts = [...box.querySelectorAll("td, th, img, p, li, code")];
    return { wider: parts.filter((each) => each.getBoundingClientRect().right > edge).length };
  });
}

/** The first example, with few steps, provided pictures and a node that saves. */
async function learning() {
  const [first] = (await readdir(task.examples)).filter((each) => each.endsWith(".json")).sort();
  const workflow = JSON.parse(await readFile(join(task.examples, first), "utf8"));
  for (const node of workflow.nodes) {
    if (node.type === "LoadImage") node.widgets_values[0] = task.picture;
    if (node.type === ADAPT) node.widgets_values[0] = STEPS;
    if (node.type === SAVE) node.mode = 0;
  }
  return workflow;
}

async function openTab(name) {
  await page.evaluate(async (wanted) => {
    const { workflow } = window.app.extensionManager;
    const found = workflow.openWorkflows.find((each) => each.filename === wanted);
    await window.app.loadGraphData(JSON.parse(JSON.stringify(found.activeState)), true, true, found);
  }, name);
  await page.waitForFunction(
    (wanted) => window.app.extensionManager.workflow.activeWorkflow.filename === wanted,
    name,
  );
}

function hasPoints(type) {
  return window.app.graph.nodes.find((each) => each.type === type).properties.metastyle_losses?.length > 0;
}

function hasPictures(type) {
  const node = window.app.graph.nodes.find((each) => each.type === type);
  return (window.app.nodeOutputs[node.id]?.images?.length ?? 0) > 0;
}

function textOf(type) {
  const node = window.app.graph.nodes.find((each) => each.type === type);
  return window.app.nodeOutputs[node.id].text.join();
}

/** What the open graph has of a run: points, preview and thumbnail. */
async function pictureAndPoints() {
  return page.evaluate(([adapting, saving]) => {
    const find = (type) => window.app.graph.nodes.find((each) => each.type === type);
    return {
      points: find(adapting).properties.metastyle_losses?.length ?? 0,
      preview: Boolean(window.app.nodePreviewImages[find(adapting).id]?.length || find(adapting).imgs?.length),
      thumbnail: Boolean(window.app.nodeOutputs[find(saving).id]),
    };
  }, [ADAPT, SAVE]);
}

async function curveWidth() {
  await stage.fitView();
  await settled();
  const scale = await page.evaluate(() => window.app.canvas.ds.scale);
  return Math.round((await page.locator(".metastyle-curve").first().boundingBox()).width / scale);
}

/** Wait until nothing on the page moves any more. */
async function settled() {
  let last = null;
  for (let now = ""; now !== last; await page.waitForTimeout(PAUSE_MS)) {
    last = now;
    now = await page.evaluate(() => {
      const boxes = [...document.querySelectorAll("[data-node-id], .metastyle-curve, .node-help-content")];
      const { scale, offset } = window.app.canvas.ds;
      return JSON.stringify([scale, ...offset, ...boxes.map((each) => each.getBoundingClientRect())]);
    });
  }
}

async function addNode(type) {
  await page.evaluate((wanted) => {
    const node = window.LiteGraph.createNode(wanted);
    node.pos = [0, -500];
    window.app.graph.add(node);
  }, type);
  await stage.fitView();
}

async function chosen() {
  return page.evaluate(
    (type) => window.app.graph.nodes.find((each) => each.type === type)
      .widgets.find((widget) => widget.name === "style").value,
    LOAD,
  );
}

async function openStyles() {
  await page.getByRole("button", { name: /styles/i }).first().click();
  await page.locator(".metastyle-card").first().waitFor();
}

/** An instant style, saved past the page. */
async function saveStyle(name, more = {}) {
  await stage.queue({
    1: { class_type: "LoadMetaStyle", inputs: { base: "shipped" } },
    2: { class_type: "LoadImage", inputs: { image: task.picture } },
    4: {
      class_type: ADAPT,
      inputs: {
        model: ["1", 0], style_images: ["2", 0], steps: 0, style_weight: 20, brush_size: 64,
        mode: "norm", encoder: "compact", seed: fresh(),
      },
    },
    7: { class_type: SAVE, inputs: { style: ["4", 0], name, fp16: false, overwrite: true, ...more } },
  });
}

/** A seed that the host has nothing of in its cache. */
function fresh() {
  return Date.now() % 1_000_000;
}

/** Pairs of nodes that lie on one another, by title, where the page draws them. */
function overlapping() {
  const { nodes } = window.app.graph;
  const boxOf = (node) => {
    const element = document.querySelector(`[data-node-id="${node.id}"]`);
    if (element) return element.getBoundingClientRect();
    const [left, top, width, height] = node.boundingRect;
    return { left, top, right: left + width, bottom: top + height };
  };
  const boxes = nodes.map((node) => [node.title, boxOf(node)]);
  return boxes.flatMap(([title, a], i) =>
    boxes.slice(i + 1)
      .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map(([other]) => `${title} / ${other}`),
  );
}

/** Titles that are longer than their nodes are wide. */
function cutTitles() {
  const context = document.createElement("canvas").getContext("2d");
  context.font = "14px Inter, Arial, sans-serif";
  const room = (node) => node.size[0] - 60;
  return window.app.graph.nodes
    .filter((node) => context.measureText(node.title).width > room(node))
    .map((node) => node.title);
}
