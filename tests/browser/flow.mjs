// A user's first hour, in a real browser on a real host. Run by test_browser_flow.py:
//
//   node flow.mjs '{"url": …, "chromium": …, "playwright": …, "workflow": …, "renderer": …, "shots": …}'
//
// Every wait is for something that a user would see; what it saw goes to standard output as JSON.

import { isProblem } from "./noise.mjs";
import { Stage } from "./stage.mjs";

const task = JSON.parse(process.argv[2]);
const stage = new Stage(task);

const CURVE = ".metastyle-curve-plot > svg > path.metastyle-total";
// Runs share the host's folders: each saves under names of its own.
const STYLE = `browser/${task.renderer}_first`;
const RENAMED = `browser/${task.renderer}_second`;
const STEPS = 20;

let page;
const seen = {};
try {
  await stage.start();
  page = stage.page;
  await loadWorkflow();
  await adapt();
  await save();
  await addFromGallery();
  await runWithSavedStyle();
  await rename();
  await reload();
  seen.problems = stage.problems.filter(isProblem);
  process.stdout.write(JSON.stringify(seen));
} catch (error) {
  await stage.shot("failed");
  process.stderr.write(`${error.stack}\n${stage.problems.join("\n")}\n`);
  process.exitCode = 1;
} finally {
  await stage.stop();
}

async function loadWorkflow() {
  await stage.load(task.workflow, "first");
  await page.evaluate(
    ([steps, pictures]) => {
      const find = (type) => window.app.graph.nodes.find((each) => each.type === type);
      const set = (where, name, value) => {
        const widget = where.widgets.find((each) => each.name === name);
        widget.value = value;
        widget.callback?.(value);
      };
      set(find("MetaStyleAdaptToStyle"), "steps", steps);
      set(find("MetaStyleAdaptToStyle"), "seed", Date.now() % 1_000_000); // never what the host has in its cache
      for (const [input, picture] of Object.entries(pictures)) {
        const [type, name] = input.split(".");
        const node = find(type);
        const slot = node.inputs.findIndex((each) => each.name === name);
        set(node.getInputNode(slot), "image", picture);
      }
    },
    [STEPS, task.pictures],
  );
  await stage.fitView();
}

async function adapt() {
  await stage.run(async () => {
    await page.locator(`${CURVE}[d*='L']`).waitFor();
    seen.curveWhileRunning = await page.locator(".metastyle-curve-step").textContent();
    await page.waitForFunction(hasPreview);
    await stage.shot("adapting");
  });
  await page.getByText(`${STEPS} / ${STEPS}`).waitFor();
  seen.curve = await curvePoints();
  await stage.shot("adapted");
}

/** True when the adapting node shows a picture, on the canvas or as an element. */
function hasPreview() {
  const node = window.app.graph.nodes.find((each) => each.type === "MetaStyleAdaptToStyle");
  return node.imgs?.length > 0 || document.querySelector(`[data-node-id="${node.id}"] img`) !== null;
}

async function curvePoints() {
  const path = page.locator(CURVE);
  return ((await path.getAttribute("d")) ?? "").split(/[ML]/).length - 1;
}

async function save() {
  await page.evaluate((name) => {
    const { graph } = window.app;
    const find = (type) => graph.nodes.find((node) => node.type === type);
    let node = find("MetaStyleSaveStyle");
    if (!node) {
      node = window.LiteGraph.createNode("MetaStyleSaveStyle");
      graph.add(node);
      const stylize = find("MetaStyleStylize");
      node.pos = [stylize.pos[0], stylize.pos[1] + stylize.size[1] + 60];
    }
    const slotOf = (each) => node.inputs.findIndex((input) => input.name === each);
    find("MetaStyleAdaptToStyle").connect(0, node, slotOf("style"));
    if (slotOf("model") >= 0) find("LoadMetaStyle").connect(0, node, slotOf("model"));
    node.widgets.find((widget) => widget.name === "name").value = name;
    node.mode = 0;
  }, STYLE);
  await stage.run();
}

async function addFromGallery() {
  await page.getByRole("button", { name: /styles/i }).first().click();
  const gallery = page.locator(".metastyle-gallery");
  await gallery.locator(`[data-style="${STYLE}"] img`).waitFor();
  await gallery.getByRole("searchbox").fill("zzz");
  await gallery.locator(".metastyle-card").first().waitFor({ state: "detached" });
  await gallery.getByRole("searchbox").fill(`${task.renderer}_first`);
  const card = gallery.locator(`[data-style="${STYLE}"]`);
  await card.waitFor();
  await gallery.getByRole("searchbox").fill("");
  await stage.shot("gallery");
  const before = await loaders();
  await card.dblclick();
  await page.waitForFunction(moreLoadersThan, before);
  await drag(card);
  await page.waitForFunction(moreLoadersThan, before + 1);
  seen.loadersAdded = (await loaders()) - before;
}


async function loaders() {
  return page.evaluate(
    () => window.app.graph.nodes.filter((node) => node.type === "MetaStyleLoadStyle").length,
  );
}

function moreLoadersThan(count) {
  const { nodes } = window.app.graph;
  return nodes.filter((node) => node.type === "MetaStyleLoadStyle").length > count;
}

async function drag(card) {
  await card.scrollIntoViewIfNeeded();
  const box = await card.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
  await page.mouse.down();
  await page.mouse.move(900, 500, { steps: 8 });
  await page.locator(".metastyle-ghost img").waitFor();
  await page.mouse.move(950, 650);
  await page.mouse.up();
}

async function runWithSavedStyle() {
  await page.evaluate(() => {
    const find = (type) => window.app.graph.nodes.findLast((node) => node.type === type);
    const stylize = find("MetaStyleStylize");
    const slot = stylize.inputs.findIndex((input) => input.name === "style");
    find("MetaStyleLoadStyle").connect(0, stylize, slot);
  });
  await stage.fitView();
  await stage.run();
  await stage.shot("saved-style");
}

/** Give the style another name in the gallery; the nodes that load it follow. */
async function rename() {
  await page.locator(`.metastyle-gallery [data-style="${STYLE}"]`).press("F2");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox").fill(RENAMED);
  await dialog.getByRole("textbox").press("Enter");
  await page.locator(`.metastyle-gallery [data-style="${RENAMED}"]`).waitFor();
  seen.loaded = await page.evaluate(() =>
    window.app.graph.nodes
      .filter((node) => node.type === "MetaStyleLoadStyle")
      .map((node) => node.widgets.find((widget) => widget.name === "style").value),
  );
}

async function reload() {
  const before = await page.evaluate(() => window.app.graph.nodes.length);
  await page.waitForFunction(isKept, [before, RENAMED]);
  await page.reload();
  await stage.ready();
  await page.waitForFunction((count) => window.app.graph.nodes.length === count, before);
  await stage.fitView();
  await page.locator(`${CURVE}[d*='L']`).waitFor();
  seen.curveAfterReload = await curvePoints();
  await page.locator(".metastyle-thumbnail img[src]").first().waitFor();
  if (!(await page.locator(".metastyle-gallery").isVisible())) {
    await page.getByRole("button", { name: /styles/i }).first().click();
  }
  await page.locator(`.metastyle-gallery [data-style="${RENAMED}"]`).waitFor();
  seen.nodesAfterReload = await page.evaluate(() => window.app.graph.nodes.length);
  seen.nodesBeforeReload = before;
  await stage.shot("reloaded");
}

/** True when the browser's storage holds the graph with all its nodes, the losses and a name. */
function isKept([count, name]) {
  const stored = [...Object.values(localStorage), ...Object.values(sessionStorage)];
  return stored.some((text) => {
    const ids = text.match(/\\*"order\\*":/g) ?? [];
    return ids.length >= count && text.includes("metastyle_losses") && text.includes(name);
  });
}
