// The button that ends steps and keeps what they have reached, beside a stand-in for the host.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { stopButtons } from "../../web/lib/stop_button.js";

class Element {
  children = [];
  listeners = {};
  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
  setAttribute(name, value) {
    this[name] = value;
  }
  append(...children) {
    for (const child of children) {
      if (child instanceof Element) child.parent = this;
      this.children.push(child);
    }
  }
  remove() {
    this.parent.children = this.parent.children.filter((child) => child !== this);
  }
}

const told = { node: "4", step: 1, steps: 9, points: [] };
let asked, listeners, curve, answer;

beforeEach(() => {
  globalThis.document = { createElement: () => new Element() };
  [asked, listeners, curve, answer] = [[], {}, new Element(), { ok: true }];
  const nodes = {
    4: { type: "MetaStyleAdaptToStyle", widgets: [{ name: "metastyle_losses", element: curve }] },
    5: { type: "KSampler", widgets: [{ name: "metastyle_losses", element: curve }] },
    6: { type: "MetaStyleRefine" },
  };
  const api = {
    addEventListener: (name, listener) => (listeners[name] = listener),
    fetchApi: async (route, options) => {
      asked.push([route, options.method, JSON.parse(options.body)]);
      return answer;
    },
  };
  const isOpen = (prompt) => prompt !== "another's";
  stopButtons({ graph: { getNodeById: (id) => nodes[id] } }, api, isOpen).setup();
});

test("one button comes with the first losses, and only where a node learns", () => {
  for (const node of ["4", "4", "5", "6", "7"]) listeners["metastyle.losses"]({ detail: { ...told, node } });
  assert.equal(curve.children.length, 1);
});

test("steps of a workflow that is not open put no button on what has their ids here", () => {
  listeners["metastyle.losses"]({ detail: { ...told, prompt_id: "another's" } });
  assert.equal(curve.children.length, 0);
});

test("a press asks the server once to end that node's steps", async () => {
  listeners["metastyle.losses"]({ detail: told });
  const [button] = curve.children;
  await button.listeners.click();
  assert.deepEqual(asked, [["/metastyle/stop", "POST", { node: "4" }]]);
  assert.equal(button.disabled, true);
  answer = { ok: false };
  await button.listeners.click();
  assert.equal(button.disabled, false, "a refusal leaves it ready for another press");
});

test("of several styles in one run each can be stopped", async () => {
  let answered;
  listeners["metastyle.losses"]({ detail: told });
  const [button] = curve.children;
  answer = new Promise((resolve) => (answered = resolve));
  const press = button.listeners.click();
  listeners["metastyle.losses"]({ detail: { ...told, step: 5 } });
  assert.equal(button.disabled, true);
  listeners["metastyle.losses"]({ detail: told });
  answered({ ok: true });
  await press;
  assert.equal(button.disabled, false, "the next began before the answer came");
  assert.equal(curve.children.length, 1);
});

test("it leaves when the run ends, however it ends, and comes again with the next", () => {
  for (const event of ["executing", "execution_error", "execution_interrupted"]) {
    listeners["metastyle.losses"]({ detail: told });
    assert.equal(curve.children.length, 1);
    listeners[event]({ detail: null });
    assert.equal(curve.children.length, 0);
  }
});
