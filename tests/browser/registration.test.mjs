// What metastyle.js does with the host's messages, in a copy of web/ beside a stand-in for the host.

import assert from "node:assert/strict";
import { cp, mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const listeners = {};
const nodes = {
  4: { type: "MetaStyleAdaptToStyle", properties: {} },
  5: { type: "KSampler", properties: {} },
  8: { type: "MetaStyleRefine", properties: {} },
};
const listed = [];
let folder;

before(async () => {
  globalThis.window = {};
  globalThis.host = {
    api: {
      addEventListener: (name, listener) => (listeners[name] = listener),
      fetchApi: async (route) => {
        listed.push(route);
        return { ok: true, json: async () => ({ styles: [] }) };
      },
    },
    app: {
      graph: { nodes: [], getNodeById: (id) => nodes[id] },
      canvas: { emitBeforeChange() {}, emitAfterChange() {} },
      extensionManager: { registerSidebarTab() {} },
      registerExtension: (extension) => (globalThis.host.extension = extension),
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

test("the styles folder is read again after a save, with or without a picture", async () => {
  nodes[7] = { type: "MetaStyleSaveStyle" };
  listed.length = 0;
  await listeners.executed({ detail: { node: 7, output: { metastyle_saved: ["wave"] } } });
  assert.deepEqual(listed, ["/metastyle/styles"]);
});
