// What went wrong, in a few words where the user looks. The host's own bubble says only that a
// node failed; the server's messages begin with what to do, and so does ours.

import { findNode, ours } from "./graph.js";

const LIFE_MS = 15_000;
const REFUSED = "custom_validation_failed";

/** Shows the errors of our nodes. */
export class Notices {
  #app;

  constructor(app) {
    this.#app = app;
  }

  /** A node that failed while it ran. */
  failed({ node_id, node_type, exception_message }) {
    if (ours(node_type)) this.#show(exception_message, this.#title(node_id, node_type));
  }

  /** Nodes whose values the server does not take: {id: {class_type, errors}}. */
  refused(nodes) {
    for (const [id, { class_type, errors }] of Object.entries(nodes)) {
      if (!ours(class_type)) continue;
      const reasons = errors.filter((each) => each.type === REFUSED).map(reason);
      for (const each of new Set(reasons)) this.#show(each, this.#title(id, class_type));
    }
  }

  /** Any line of the server, its first sentence on top. */
  #show(message, title) {
    const [advice, facts] = split(message.trim());
    const detail = facts ? `${title}: ${facts}` : title;
    this.#app.extensionManager.toast.add({ severity: "error", summary: advice, detail, life: LIFE_MS });
  }

  #title(id, type) {
    return findNode(this.#app.graph, id)?.title ?? type;
  }
}

/** What stands behind the input's name that the host puts in front. */
function reason({ details, extra_info }) {
  const prefix = `${extra_info?.input_name} - `;
  return details.startsWith(prefix) ? details.slice(prefix.length) : details;
}

/** The first sentence and the others. */
export function split(message) {
  const [advice, ...facts] = message.split(/(?<=[.!?])\s+(?=[A-Z'])/);
  return [advice, facts.join(" ")];
}
