// The pure modules of web/lib, without a browser: node --test tests/browser/modules.test.mjs

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { canvasPlace, chooseStyle, chooserAt, choosers, findNode, renameStyle } from "../../web/lib/graph.js";
import { colourSockets } from "../../web/lib/colours.js";
import { Favourites } from "../../web/lib/favourites.js";
import { forgetIds } from "../../web/lib/labels.js";
import { LossCurves } from "../../web/lib/loss_curve.js";
import * as losses from "../../web/lib/losses.js";
import { askWhereTaken, filled, readOldChoice } from "../../web/lib/saving.js";
import { group, label, lineOf, lineOfUnknown, matches } from "../../web/lib/style_list.js";
import { StylesApi } from "../../web/lib/styles_api.js";
import { folderOf, inOrder } from "../../web/lib/templates.js";
import { ENGLISH, chooseWords, say } from "../../web/lib/text.js";
import { isProblem } from "./noise.mjs";

const points = Array.from({ length: 500 }, (_, i) => [i + 1, 1 / (i + 1), 2, 3]);

test("what is no point is left out, and points are put in order", () => {
  const mixed = [[2, 1, 1, 1], "x", null, [1, 1, 1], [1, NaN, 1, 1], [1, 0.123456, 1, 1]];
  assert.deepEqual(losses.readPoints(mixed), [[1, 0.1235, 1, 1], [2, 1, 1, 1]]);
  assert.deepEqual(losses.readPoints(undefined), []);
});

test("thinning keeps the ends and the limit", () => {
  const few = losses.thin(points);
  assert.equal(few.length, losses.MOST_POINTS);
  assert.deepEqual(few[0], points[0]);
  assert.deepEqual(few.at(-1), points.at(-1));
  assert.equal(losses.thin(points.slice(0, 3)).length, 3);
});

test("a run that is cut off leaves an even choice of its points in the workflow", () => {
  const node = { properties: {} };
  const curves = new LossCurves();
  for (let step = 1; step <= 2000; step++) curves.extend(node, { steps: 2000, points: [[step, 1, 2, 3]] });
  const steps = node.properties.metastyle_losses.map(([step]) => step);
  assert.equal(steps.length, losses.MOST_POINTS);
  assert.equal(steps[0], 1);
  assert.equal(steps.at(-1), 2000);
  const gaps = steps.slice(1).map((step, i) => step - steps[i]);
  assert.ok(Math.max(...gaps) <= 11 && Math.min(...gaps) >= 10, "no part is denser than another");
  curves.extend(node, { steps: 50, points: [[1, 9, 9, 9]] });
  assert.deepEqual(node.properties.metastyle_losses, [[1, 9, 9, 9]]);
});

test("a run that begins anew replaces the old curve", () => {
  const once = losses.append(points, [[501, 1, 1, 1]]);
  assert.equal(once.length, 501);
  assert.deepEqual(losses.append(once, [[1, 5, 5, 5]]), [[1, 5, 5, 5]]);
  assert.equal(losses.append(once, "nothing"), once);
});

test("the scale puts the lowest loss at the bottom and the highest on top", () => {
  const y = losses.heightScale(losses.valueRange([[1, 0.1, 1, 10]]), 5, 95);
  assert.equal(y(0.1), 95);
  assert.ok(Math.abs(y(10) - 5) < 1e-9);
  assert.ok(Math.abs(y(1) - 50) < 1e-9);
  assert.equal(y(0), 95);
});

test("equal values still have a range, and no values too", () => {
  const [low, high] = losses.valueRange([[1, 2, 2, 2]]);
  assert.ok(low < 2 && high > 2);
  assert.deepEqual(losses.valueRange([]), [0.5, 1]);
});

test("losses are drawn as shares of where they began", () => {
  const shares = losses.sharesOfStart([[1, 4, 0, 8], [2, 2, 10, 4], [3, 8, 5, 2]]);
  assert.deepEqual(shares, [[1, 1, 0, 1], [2, 0.5, 1, 0.5], [3, 2, 0.5, 0.25]]);
});

test("where several styles are learned the curve says which one it shows", () => {
  assert.equal(losses.progress(5, 60), "5 / 60");
  assert.equal(losses.progress(5, 60, 1, 1), "5 / 60");
  assert.equal(losses.progress(5, 60, 2, 3), "2 / 3 · 5 / 60");
});

test("smoothing keeps a constant, calms a swing and begins where the losses begin", () => {
  assert.deepEqual(losses.smooth([[1, 3, 3, 3], [2, 3, 3, 3]])[1].map((v) => Number(v.toFixed(9))), [2, 3, 3, 3]);
  const calm = losses.smooth([[1, 1, 1, 1], [2, 9, 9, 9]]);
  assert.equal(calm[0][1], 1);
  assert.ok(calm[1][1] > 5 && calm[1][1] < 6);
});

test("grid lines are round values within the range", () => {
  assert.deepEqual(losses.gridValues([0.05, 1]), [0.05, 0.1, 0.2, 0.5, 1]);
  assert.deepEqual(losses.gridValues([0.6, 0.9]), []);
});

test("a line starts with a move and visits all points", () => {
  const line = losses.linePath([[1, 2, 3, 4], [2, 3, 4, 5]], 2, (x) => x, (y) => y);
  assert.equal(line, "M1.0 3.0L2.0 4.0");
  assert.deepEqual(losses.nearest(points, 41.4), points[40]);
  assert.equal(losses.formatLoss(0.012345), "0.0123");
});

const styles = [
  { name: "project/wave_10", title: "x", shipped: false },
  { name: "project/wave_2", title: "x", shipped: false },
  { name: "presets/cezanne", title: "Cézanne, Mont Sainte-Victoire", shipped: true },
];

test("search ignores case, accents and underscores, and wants every word", () => {
  assert.ok(matches(styles[2], "CEZANNE mont"));
  assert.ok(matches(styles[0], "wave 10"));
  assert.ok(!matches(styles[0], "wave mont"));
});

test("saved styles come first, by folder and in natural order; presets show their titles", () => {
  const top = { name: "zebra", shipped: false };
  const { favourites, saved, shipped } = group([...styles, top], "", (name) => name === "presets/cezanne");
  assert.deepEqual(saved.map(([folder, those]) => [folder, those.map((style) => style.name)]), [
    ["", ["zebra"]],
    ["project", ["project/wave_2", "project/wave_10"]],
  ]);
  assert.equal(label(styles[1]), "wave 2");
  assert.equal(label(shipped[0]), "Cézanne, Mont Sainte-Victoire");
  assert.deepEqual(favourites, shipped);
});

test("lists show the title of a preset, and of a saved style the folder too", () => {
  assert.equal(lineOf(styles[2]), "Cézanne, Mont Sainte-Victoire");
  assert.equal(lineOf(styles[0]), "project/wave_10");
  assert.equal(lineOfUnknown("presets/hokusai_great_wave"), "hokusai great wave");
});

test("favourites are kept by the host, and a renamed one stays one", async () => {
  const kept = { "metastyle.favourites": ["sea"] };
  const settings = { get: (id) => kept[id], set: (id, value) => (kept[id] = value) };
  const favourites = new Favourites(() => settings);
  await favourites.toggle("wave");
  await favourites.follow("sea", "lake");
  await favourites.follow("nobody", "somebody");
  assert.deepEqual(kept["metastyle.favourites"], ["lake", "wave"]);
  await favourites.toggle("lake");
  assert.deepEqual([favourites.has("lake"), favourites.has("wave")], [false, true]);
});

const inner = { id: 7, type: "MetaStyleStylizeWithPreset" };
const graph = {
  nodes: [{ id: 4, type: "Sub", subgraph: { nodes: [inner], getNodeById: () => inner } }],
  getNodeById(id) {
    return this.nodes.find((node) => node.id === id);
  },
};

test("nodes inside subgraphs are found by their execution id and by type", () => {
  assert.equal(findNode(graph, "4:7"), inner);
  assert.equal(findNode(graph, 4).type, "Sub");
  assert.equal(findNode(graph, "9:7"), undefined);
  assert.deepEqual(choosers(graph), [inner]);
});

test("loader nodes follow a style to its new name, and others stay", () => {
  const told = [];
  const loader = (value) => ({
    type: "MetaStyleLoadStyle",
    widgets: [{ name: "style", value, options: { values: ["wave", "sea"] }, callback: (name) => told.push(name) }],
  });
  const nodes = [loader("wave"), loader("sea"), { type: "KSampler" }, { type: "Sub", subgraph: { nodes: [loader("wave")] } }];
  renameStyle({ nodes }, "wave", "storm");
  const widgets = [nodes[0], nodes[1], nodes[3].subgraph.nodes[0]].map((node) => node.widgets[0]);
  assert.deepEqual(widgets.map((widget) => widget.value), ["storm", "sea", "storm"]);
  assert.ok(widgets[0].options.values.includes("storm"));
  assert.deepEqual(told, ["storm", "storm"]);
});

test("a card on a node that chooses a style changes that node, as one undo step", () => {
  const steps = [];
  const widget = { name: "style", value: "wave", options: { values: ["wave"] }, callback: (name) => steps.push(name) };
  const loader = { type: "MetaStyleLoadStyle", widgets: [widget] };
  const under = { 10: loader, 20: { type: "KSampler" } };
  const canvas = { emitBeforeChange: () => steps.push("before"), emitAfterChange: () => steps.push("after") };
  const app = { canvas, graph: { getNodeOnPos: (x) => under[x] ?? null } };
  assert.deepEqual([10, 20, 30].map((x) => chooserAt(app, [x, 0])), [loader, null, null]);
  chooseStyle(app, loader, "presets/sea");
  assert.deepEqual([widget.value, steps], ["presets/sea", ["before", "presets/sea", "after"]]);
  assert.ok(widget.options.values.includes("presets/sea"));
});

test("growing sockets are called by their word, and by what the user called them", () => {
  const input = (given) => ({ name: "styles.style_1", localized_name: "style 1", label: given });
  const node = { inputs: [input("style_1"), input("wave"), { name: "weight_1" }] };
  forgetIds(node);
  assert.deepEqual(node.inputs.map((each) => each.label), [undefined, "wave", undefined]);
});

test("names of styles take the values of widgets, and what names none stays", () => {
  const nodes = [
    { title: "Sky", widgets: [{ name: "seed", value: 7 }, { name: "text", value: "a/b?" }] },
    { title: "x", properties: { "Node name for S&R": "KSampler" }, widgets: [{ name: "cfg", value: 6.5 }] },
  ];
  assert.equal(filled({ nodes }, "w/%Sky.seed%_%KSampler.cfg%"), "w/7_6.5");
  assert.equal(filled({ nodes }, "%Sky.text%"), "a_b_");
  assert.equal(filled({ nodes }, "%date:yyyy-MM-dd%/%No.seed%"), "%date:yyyy-MM-dd%/%No.seed%");
});

test("older workflows say by true and false whether to overwrite", () => {
  const read = (value) => {
    const widget = { name: "overwrite", value };
    readOldChoice({ widgets: [widget] });
    return widget.value;
  };
  assert.deepEqual([true, false, "ask"].map(read), ["overwrite", "number", "ask"]);
});

test("a node that asks gets the answer, and for none it is left out", async () => {
  const asked = [];
  const ask = async (answer, name = "wave", overwrite = "ask") => {
    const nodes = { 7: { class_type: "MetaStyleSaveStyle", inputs: { name, overwrite } } };
    const dialog = { confirm: async ({ message }) => (asked.push(message), answer) };
    await askWhereTaken({ extensionManager: { dialog } }, nodes, (each) => each === "wave");
    return nodes[7]?.inputs.overwrite;
  };
  assert.equal(await ask(true), "overwrite");
  assert.equal(await ask(false), "number");
  assert.equal(await ask(null), undefined);
  assert.equal(asked.length, 3);
  assert.equal(await ask(null, "free"), "ask");
  assert.equal(await ask(null, "wave", "number"), "number");
  assert.equal(asked.length, 3, "nothing to ask");
});

test("sockets keep their colour when a palette does not know them, and take one that it has", () => {
  const table = {};
  colourSockets({ canvas: { default_connection_color_byType: table } }, undefined);
  const own = table.METASTYLE_STYLE;
  assert.match(own, /^#/);
  Object.assign(table, { METASTYLE_STYLE: "" });
  assert.equal(table.METASTYLE_STYLE, own);
  Object.assign(table, { METASTYLE_STYLE: "#123456" });
  assert.equal(table.METASTYLE_STYLE, "#123456");
});

test("our examples come by their numbers, whatever the folder is called", async () => {
  const folder = folderOf("http://127.0.0.1:8188/extensions/my%20styles/metastyle.js");
  assert.equal(folder, "my styles");
  const api = { getWorkflowTemplates: async () => ({ "my styles": ["2 b", "1 a"], other: ["z", "y"] }) };
  inOrder(api, folder);
  assert.deepEqual(await api.getWorkflowTemplates(), { "my styles": ["1 a", "2 b"], other: ["z", "y"] });
});

test("a drop beside the canvas adds nothing", () => {
  const box = { left: 100, right: 200, top: 0, bottom: 50 };
  const canvas = { canvas: { getBoundingClientRect: () => box } };
  const app = { canvas, clientPosToCanvasPos: ([x, y]) => [x * 2, y * 2] };
  assert.deepEqual(canvasPlace(app, 150, 20), [300, 40]);
  assert.equal(canvasPlace(app, 50, 20), null);
});

test("noise of the host is no problem, and the same from our files is one", () => {
  const missing = "Failed to load resource: the server responded with a status of 404 (Not Found)";
  const broken = "Cannot read properties of undefined (reading 'id')\n    at draw (http://127.0.0.1:8188";
  assert.ok(!isProblem(`${missing}\nhttp://127.0.0.1:8188/api/userdata/user.css`));
  assert.ok(isProblem(`${missing}\nhttp://127.0.0.1:8188/extensions/metastyle/lib/gone.js`));
  assert.ok(isProblem(`${missing}\nhttp://127.0.0.1:8188/api/metastyle/styles/thumbnail?name=x`));
  assert.ok(!isProblem(`${broken}/assets/index-abc.js:1:2)`));
  assert.ok(isProblem(`${broken}/extensions/metastyle/lib/graph.js:1:2)`));
  assert.ok(isProblem("boom\n    at http://127.0.0.1:8188/assets/index-abc.js:1:2"));
});

test("the server's refusal becomes an error with its own words", async () => {
  const refused = { ok: false, status: 400, json: async () => ({ error: "Names stay inside." }) };
  const server = new StylesApi({ fetchApi: async () => refused });
  await assert.rejects(server.remove("../x"), { message: "Names stay inside." });
});

test("names are escaped in the address of a picture", () => {
  const server = new StylesApi({ apiURL: (route) => `/api${route}` });
  const url = server.thumbnailUrl("a b/ä&c", 3);
  assert.equal(url, "/api/metastyle/styles/thumbnail?name=a+b%2F%C3%A4%26c&v=3");
});

test("words come in the user's language, with English in the gaps", () => {
  chooseWords({ de: { metastyle: { tab: "Stile" } } }, "de-AT");
  assert.equal(say("tab"), "Stile");
  assert.equal(say("rename"), "Rename");
  assert.equal(say("unreachable", { reason: "x" }), "The styles could not be read: x");
  chooseWords({}, "fr");
  assert.equal(say("tab"), "Styles");
});

for (const language of ["en", "fr", "zh"]) {
  test(`locales/${language} has the words that the browser side says`, async () => {
    const file = new URL(`../../locales/${language}/main.json`, import.meta.url);
    const { metastyle } = JSON.parse(await readFile(file, "utf8"));
    assert.deepEqual(Object.keys(metastyle).sort(), Object.keys(ENGLISH).sort());
    if (language === "en") assert.deepEqual(metastyle, ENGLISH);
  });
}
