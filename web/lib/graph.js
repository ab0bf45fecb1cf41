// Finding and adding nodes in the host's graph.

export const ADAPT_NODE = "MetaStyleAdaptToStyle";
export const LOAD_NODE = "MetaStyleLoadStyle";
export const REFINE_NODE = "MetaStyleRefine";
export const SAVE_NODE = "MetaStyleSaveStyle";

/** True for the nodes that take gradient steps and show their losses as a curve. */
export function learns(type) {
  return type === ADAPT_NODE || type === REFINE_NODE;
}

/** True for the nodes of this pack. */
export function ours(type) {
  return type === "LoadMetaStyle" || Boolean(type?.startsWith("MetaStyle"));
}

/** The node that an execution id names; "4:7" is node 7 inside the subgraph node 4. */
export function findNode(graph, executionId) {
  const [outer, ...inner] = String(executionId).split(":");
  const node = graph?.getNodeById(Number(outer));
  return inner.length && node ? findNode(node.subgraph, inner.join(":")) : node;
}

/** All nodes of one type, in subgraphs too. */
export function nodesOfType(graph, type) {
  return (graph?.nodes ?? []).flatMap((node) => [
    ...(node.type === type ? [node] : []),
    ...(node.subgraph ? nodesOfType(node.subgraph, type) : []),
  ]);
}

export function styleWidget(node) {
  return node.widgets?.find((widget) => widget.name === "style");
}

/** The place of a client position on the canvas, or null outside of it. */
export function canvasPlace(app, clientX, clientY) {
  const box = app.canvas.canvas.getBoundingClientRect();
  const inside =
    clientX >= box.left && clientX < box.right && clientY >= box.top && clientY < box.bottom;
  return inside ? app.clientPosToCanvasPos([clientX, clientY]) : null;
}

/** The middle of what the user sees of the graph. */
export function canvasCentre(app) {
  const box = app.canvas.canvas.getBoundingClientRect();
  return app.clientPosToCanvasPos([box.left + box.width / 2, box.top + box.height / 2]);
}

/** Change the graph so that the host notices: for undo, and for what it keeps over a reload. */
export function changeGraph(app, change) {
  app.canvas.emitBeforeChange();
  change();
  app.canvas.emitAfterChange();
}

/** Add a node that loads the named style, its title bar under `[x, y]`, as one undo step. */
export function addLoader(app, liteGraph, name, [x, y]) {
  const graph = app.canvas.graph ?? app.graph;
  const node = liteGraph.createNode(LOAD_NODE);
  const widget = styleWidget(node);
  offerStyle(widget, name);
  widget.value = name;
  node.pos = [x - node.size[0] / 2, y + 10];
  changeGraph(app, () => graph.add(node));
  widget.callback?.(name);
  app.canvas.selectNode(node);
  return node;
}

/** Fill the dropdown of one loader node. */
export function offerStylesTo(node, names) {
  const widget = styleWidget(node);
  if (widget) widget.options.values = names;
}

/** Put a style into a dropdown that was filled before the style was saved. */
function offerStyle(widget, name) {
  const values = widget.options.values;
  if (Array.isArray(values) && !values.includes(name)) {
    widget.options.values = [...values, name];
  }
}

/** Let the loader nodes that hold a style by its old name hold it by its new one. */
export function renameStyle(graph, name, newName) {
  for (const node of nodesOfType(graph, LOAD_NODE)) {
    const widget = styleWidget(node);
    if (widget?.value !== name) continue;
    offerStyle(widget, newName);
    widget.value = newName;
    widget.callback?.(newName);
  }
}

/** Fill the dropdowns of all loader nodes anew. */
export function offerStyles(graph, names) {
  for (const node of nodesOfType(graph, LOAD_NODE)) offerStylesTo(node, names);
}
