// Finding and adding nodes in the host's graph.

export const ADAPT_NODE = "MetaStyleAdaptToStyle";
export const LOAD_NODE = "MetaStyleLoadStyle";
export const REFINE_NODE = "MetaStyleRefine";
export const PRESET_NODE = "MetaStyleStylizeWithPreset";
export const SAVE_NODE = "MetaStyleSaveStyle";

/** True for the nodes that take gradient steps and show their losses as a curve. */
export function learns(type) {
  return type === ADAPT_NODE || type === REFINE_NODE;
}

/** True for the nodes on which a style is chosen by its name. */
export function choosesStyle(type) {
  return type === LOAD_NODE || type === PRESET_NODE;
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

/** All nodes on which a style is chosen, in subgraphs too. */
export function choosers(graph) {
  return (graph?.nodes ?? []).flatMap((node) => [
    ...(choosesStyle(node.type) ? [node] : []),
    ...(node.subgraph ? choosers(node.subgraph) : []),
  ]);
}

/** The node of the open graph at a place of it on which a style is chosen, or null. */
export function chooserAt(app, [x, y]) {
  const node = openGraph(app).getNodeOnPos(x, y);
  return choosesStyle(node?.type) ? node : null;
}

/** Let a node choose another style, as one undo step. */
export function chooseStyle(app, node, name) {
  changeGraph(app, () => setStyle(styleWidget(node), name));
}

function openGraph(app) {
  return app.canvas.graph ?? app.graph;
}

function setStyle(widget, name) {
  offerStyle(widget, name);
  widget.value = name;
  widget.callback?.(name);
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
  const node = liteGraph.createNode(LOAD_NODE);
  const widget = styleWidget(node);
  offerStyle(widget, name);
  widget.value = name;
  node.pos = [x - node.size[0] / 2, y + 10];
  changeGraph(app, () => openGraph(app).add(node));
  widget.callback?.(name);
  app.canvas.selectNode(node);
  return node;
}

/** Fill the dropdown of one node; `titleOf` gives what it shows for a name. */
export function offerStylesTo(node, names, titleOf) {
  const widget = styleWidget(node);
  if (!widget) return;
  widget.options.values = names;
  widget.options.getOptionLabel = titleOf;
}

/** Put a style into a dropdown that was filled before the style was saved. */
function offerStyle(widget, name) {
  const values = widget.options.values;
  if (Array.isArray(values) && !values.includes(name)) {
    widget.options.values = [...values, name];
  }
}

/** Let the nodes that hold a style by its old name hold it by its new one. */
export function renameStyle(graph, name, newName) {
  for (const widget of choosers(graph).map(styleWidget)) {
    if (widget?.value === name) setStyle(widget, newName);
  }
}

/** Fill the dropdowns of all nodes on which a style is chosen anew. */
export function offerStyles(graph, names, titleOf) {
  for (const node of choosers(graph)) offerStylesTo(node, names, titleOf);
}
