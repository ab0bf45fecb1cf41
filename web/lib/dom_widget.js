// An element of ours on a node, in either of the host's renderers.

/**
 * Add an element below a node's widgets.
 *
 * @param heights {min, max} in pixels; `max` may be left out.
 */
export function addElement(node, name, element, { min, max }) {
  const widget = node.addDOMWidget(name, name, element, {
    serialize: false,
    hideOnZoom: false,
    hideInPanel: true, // the host's side panel would list it as an input
    getMinHeight: () => min,
    ...(max && { getMaxHeight: () => max }),
  });
  widget.serialize = false;
  // As wide as the node: a panel that draws widgets of its own sets here how wide it is itself.
  Object.defineProperty(widget, "width", { get: () => undefined, set: () => {} });
  return widget;
}
