// Labels of sockets that grow. The host labels each by its id, "style_1", and only without a
// label shows the word that locales/ has for it.

/** Let a node's growing sockets be called as its other inputs are, now and when it grows. */
export function callByWord(node) {
  forgetIds(node);
  const changed = node.onConnectionsChange;
  node.onConnectionsChange = function (...change) {
    const answer = changed?.apply(this, change);
    queueMicrotask(() => forgetIds(node));
    return answer;
  };
}

/** Drop labels that repeat the id; one that the user gave stays. */
export function forgetIds(node) {
  for (const input of node.inputs ?? []) {
    if (input.label && input.localized_name && input.name.endsWith(`.${input.label}`)) {
      input.label = undefined;
    }
  }
}
