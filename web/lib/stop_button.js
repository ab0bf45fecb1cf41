// The button under the loss curve of a node that learns, while it does: it ends the steps and keeps
// what they have reached. Cancel, the host's own, throws it away.

import { html } from "./elements.js";
import { findNode, learns } from "./graph.js";
import { say } from "./text.js";

const CURVE = "metastyle_losses";
const OVER = ["executing", "execution_error", "execution_interrupted"];

/**
 * An extension of the host: a button for each run of steps, from its first losses to its end.
 *
 * @param isOpen tells whether the graph of a prompt is the open one.
 */
export function stopButtons(app, api, isOpen) {
  const shown = new Map();

  async function stop(id, button) {
    button.disabled = true;
    const response = await api.fetchApi("/metastyle/stop", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ node: String(id) }),
    });
    // A run that has ended in between takes its button with it.
    if (!response.ok) button.disabled = false;
  }

  function show({ detail }) {
    if (!isOpen(detail.prompt_id)) return;
    // Of several styles in one run the next begins, and can be stopped too.
    if (shown.has(detail.node) && detail.step === 1) shown.get(detail.node).disabled = false;
    const node = findNode(app.graph, detail.node);
    const curve = node?.widgets?.find((widget) => widget.name === CURVE)?.element;
    if (!learns(node?.type) || !curve || shown.has(detail.node)) return;
    const onclick = () => stop(detail.node, button);
    const button = html("button", { class: "metastyle-stop", title: say("stopHint"), onclick }, say("stop"));
    shown.set(detail.node, button);
    curve.append(button);
  }

  function hide() {
    for (const button of shown.values()) button.remove();
    shown.clear();
  }

  return {
    name: "metastyle.stop",
    setup() {
      api.addEventListener("metastyle.losses", show);
      for (const event of OVER) api.addEventListener(event, hide);
    },
  };
}
