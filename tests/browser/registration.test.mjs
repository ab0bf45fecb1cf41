// What metastyle.js does with the host's messages, in a copy of web/ beside a stand-in for the host.

import assert from "node:assert/strict";
import { cp, mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const handlers = {};
const listeners = new Proxy({}, {
  get: (_, name) => (event) => {
    let stopped = false;
    const stop = () => (stopped = true);
    const whole = { ...event, stopImmediatePropagation: stop };
    const answers = (handlers[name] ?? []).map((handler) => (stopped ? undefined : handler(whole)));
    return answers.at(-1);
  },
});
const nodes = {
  4: { type: "MetaStyleAdaptToStyle", properties: {} },
  5: { type: "KSampler", properties: {} },
  8: { type: "MetaStyleRefine", properties: {} },
};
const listed = [];
const toasts = [];
const registered = [];
const workflows = [{ path: "first.json" }, { path: "second.json" }];
const workflow = { activeWorkflow: workflows[0] };
let answer = { prompt_id: "of first", node_errors: {} };
let folder;

before(async () => {
  globalThis.window = {};
  globalThis.host = {
    api: {
      addEventListener: (name, listener) => (handlers[name] ??= []).push(listener),
      dispatchCustomEvent: (name, detail) => listeners[name]({ detail }),
      queuePrompt: async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      },
      fetchApi: async (route) => {
        listed.push(route);
        return { ok: true, json: async () => ({ styles: [] }) };
      },
    },
    app: {
      graph: { nodes: [], getNodeById: (id) => nodes[id] },
      canvas: { emitBeforeChange() {}, emitAfterChange() {}, default_connection_color_byType: {} },
      extensionManager: {
        registerSidebarTab() {},
        setting: { get: () => undefined },
        workflow,
        toast: { add: (toast) => toasts.push([toast.summary, toast.detail]) },
      },
      registerExtension(extension) {
        registered.push(extension.name);
        globalThis.host.extension = extension;
      },
    },
  };
  folder = await mkdtemp(join(tmpdir(), "metastyle-"));
  await cp(fileURLToPath(new URL("../../web", import.meta.url)), join(folder, "extensions/metastyle"), { recursive: true });
  await mkdir(join(folder, "scripts"));
  for (const name of ["api", "app"]) {
    await writeFile(join(folder, `scripts/${name}.js`), `export const ${name} = globalThis.host.${name};\n`);
  }
  await import(pathToFileURL(join(folder, "extensions/metastyle/metastyle.js")).href);
  await globalThis.host.extension.setup();
});

after(() => rm(folder, { recursive: true }));

test("losses reach a node that adapts or refines, and no other node of the same id", () => {
  for (const node of [4, 5, 6, 8]) {
    listeners["metastyle.losses"]({ detail: { node, step: 1, steps: 2, points: [[1, 2, 3, 5]] } });
  }
  assert.deepEqual(nodes[4].properties.metastyle_losses, [[1, 2, 3, 5]]);
  assert.deepEqual(nodes[8].properties.metastyle_losses, [[1, 2, 3, 5]]);
  assert.deepEqual(nodes[5].properties, {});
});

test("the losses of an ended or cached adaptation replace those that came before", () => {
  const output = { metastyle_losses: [[1, 2, 3, 5], [2, 1, 2, 3]] };
  listeners.executed({ detail: { node: 4, output } });
  listeners.executed({ detail: { node: 5, output } });
  listeners.executed({ detail: { node: 4, output: null } });
  assert.equal(nodes[4].properties.metastyle_losses.length, 2);
  assert.deepEqual(nodes[5].properties, {});
});

test("the styles folder is read again whenever the server says that it changed", async () => {
  listed.length = 0;
  await listeners["metastyle.styles"]({ detail: { saved: "wave" } });
  assert.deepEqual(listed, ["/metastyle/styles"]);
});

const output = { 4: { class_type: "MetaStyleAdaptToStyle" }, 5: { class_type: "KSampler" } };
const losses = (prompt, points) => ({ detail: { prompt_id: prompt, node: 4, steps: 9, points } });

test("what belongs to a workflow that is not open waits until it is", async () => {
  const { api, extension } = globalThis.host;
  await api.queuePrompt(0, { output });
  workflow.activeWorkflow = workflows[1];
  nodes[4].properties = {};
  let shown = 0;
  handlers.executed.push(() => (shown += 1));
  listeners["metastyle.losses"](losses("of first", [[1, 2, 3, 5]]));
  const done = { prompt_id: "of first", node: 4, output: { metastyle_losses: [[1, 2, 3, 5], [2, 1, 2, 3]] } };
  listeners.executed({ detail: done });
  assert.deepEqual(nodes[4].properties, {});
  assert.equal(shown, 0, "nor does the host show its pictures");
  listeners.executed({ detail: { ...done, node: 5 } });
  assert.equal(shown, 1, "nodes of others are the host's own");
  workflow.activeWorkflow = { path: "first.json", changeTracker: new (class { static isLoadingGraph = false; })() };
  await extension.afterConfigureGraph();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(nodes[4].properties.metastyle_losses.map(([step]) => step), [1, 2]);
  assert.equal(shown, 2);
});

test("previews of another workflow's nodes do not reach the host", () => {
  workflow.activeWorkflow = workflows[1];
  const seen = [];
  handlers.b_preview_with_metadata.push(({ detail }) => seen.push(detail.displayNodeId));
  listeners.b_preview_with_metadata({ detail: { jobId: "of first", displayNodeId: "4" } });
  listeners.b_preview_with_metadata({ detail: { jobId: "of first", displayNodeId: "5" } });
  listeners.b_preview_with_metadata({ detail: { jobId: "of nobody", displayNodeId: "4" } });
  assert.deepEqual(seen, ["5", "4"]);
  workflow.activeWorkflow = workflows[0];
});

test("refusals and failures of our nodes are told, what to do on top, each once", async () => {
  const { api } = globalThis.host;
  const error = (name) => ({
    type: "custom_validation_failed",
    details: `${name} - Choose another name. It has a ? in it.`,
    extra_info: { input_name: name },
  });
  const refused = { class_type: "MetaStyleSaveStyle", errors: [error("name"), error("overwrite")] };
  answer = Object.assign(new Error("refused"), { response: { node_errors: { 7: refused } } });
  await assert.rejects(api.queuePrompt(0, { output }), { message: "refused" });
  assert.deepEqual(toasts.splice(0), [["Choose another name.", "MetaStyleSaveStyle: It has a ? in it."]]);
  const failed = { node_id: 4, node_type: "MetaStyleAdaptToStyle", exception_message: "Resize it.\n" };
  listeners.execution_error({ detail: failed });
  listeners.execution_error({ detail: { ...failed, node_type: "KSampler" } });
  assert.deepEqual(toasts, [["Resize it.", "MetaStyleAdaptToStyle"]]);
});

test("scripts of a second copy register nothing but one warning, whose words name both folders", async () => {
  assert.deepEqual(registered.splice(0), ["metastyle.stop", "metastyle"]);
  const before = Object.values(handlers).flat().length;
  await cp(join(folder, "extensions/metastyle"), join(folder, "extensions/metastyle-main"), { recursive: true });
  await import(pathToFileURL(join(folder, "extensions/metastyle-main/metastyle.js")).href);
  assert.deepEqual(registered, ["metastyle.copy.metastyle-main"]);
  toasts.length = 0;
  await globalThis.host.extension.setup();
  assert.equal(toasts.length, 1);
  assert.match(toasts[0][1], /in metastyle and in metastyle-main/);
  assert.equal(Object.values(handlers).flat().length, before);
});
