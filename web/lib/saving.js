// What the node that saves needs from the page: names with values of other nodes in them, and
// an answer where a style of its name is there already.

import { SAVE_NODE } from "./graph.js";
import { say } from "./text.js";

const FORBIDDEN = /[/?<>\\:*|"\x00-\x1F\x7F]/g;

/** Let a new node fill in `%Node.widget%`, as the host's own nodes that save do. */
export function fillsName(app, node) {
  const widget = node.widgets?.find((each) => each.name === "name");
  if (widget) widget.serializeValue = () => filled(app.graph, String(widget.value));
}

/** A name with the values of widgets in it; what names no widget stays as it is. */
export function filled(graph, name) {
  return name.replace(/%([^%.]+)\.([^%]+)%/g, (whole, title, widgetName) => {
    const named = (node) => [node.properties?.["Node name for S&R"], node.title].includes(title);
    const widget = graph.nodes.find(named)?.widgets?.find((each) => each.name === widgetName);
    return widget ? String(widget.value ?? "").replaceAll(FORBIDDEN, "_") : whole;
  });
}

/** Workflows from before there was a choice hold whether to overwrite. */
export function readOldChoice(node) {
  const widget = node.widgets?.find((each) => each.name === "overwrite");
  if (typeof widget?.value === "boolean") widget.value = widget.value ? "overwrite" : "number";
}

/**
 * Before a prompt is sent, let the user choose for each node that asks and whose name is taken.
 *
 * @param nodes of the prompt, by id; changed to what was chosen, without the node for nothing.
 * @param isTaken tells whether there is a style of a name.
 */
export async function askWhereTaken(app, nodes, isTaken) {
  for (const [id, { class_type, inputs }] of Object.entries(nodes)) {
    const asks = class_type === SAVE_NODE && inputs.overwrite === "ask";
    if (!asks || typeof inputs.name !== "string" || !isTaken(inputs.name)) continue;
    const choice = await app.extensionManager.dialog.confirm({
      title: say("takenTitle"),
      message: say("takenMessage", { name: inputs.name, both: say("keepBoth") }),
      type: "dirtyClose",
      denyLabel: say("keepBoth"),
    });
    if (choice === null) delete nodes[id];
    else inputs.overwrite = choice ? "overwrite" : "number";
  }
}
