// Which workflow a prompt was queued from. The host's messages name a prompt and a node, but the
// graph that is open when they come may be another's, with other nodes under the same ids.

import { ours } from "./graph.js";

const KEY = "metastyle.prompts";
const MOST_KEPT = 50;
const PAUSE_MS = 100;

/** Prompts and their workflows; reports about a workflow that is not open wait until it is. */
export class Prompts {
  #app;
  #workflows = new Map();
  #kept = {};
  #waiting = [];

  constructor(app) {
    this.#app = app;
    // Over a reload of the page, in which the prompts run on, only paths of workflows live.
    this.#kept = JSON.parse(globalThis.sessionStorage?.getItem(KEY) ?? "{}");
  }

  /**
   * Take note of every prompt that the page queues.
   *
   * @param before called with the nodes of a prompt, and awaited, before it is sent.
   * @param refused called with what the server says against nodes, by their id.
   */
  follow(api, { before = async () => {}, refused = () => {} }) {
    const queue = api.queuePrompt;
    api.queuePrompt = async (number, data, ...more) => {
      const workflow = this.#active;
      await before(data.output);
      try {
        const answer = await queue.call(api, number, data, ...more);
        this.#note(answer.prompt_id, workflow, data.output);
        refused(answer.node_errors ?? {});
        return answer;
      } catch (error) {
        refused(error.response?.node_errors ?? {});
        throw error;
      }
    };
  }

  /**
   * Keep from the host what belongs to nodes of ours in a workflow that is not open: it would
   * show it on whatever has their ids in the open one. To be called before the host listens.
   */
  guard(api) {
    api.addEventListener("executed", (event) => {
      const { detail } = event;
      if (!this.#isElsewhere(detail.prompt_id, detail.display_node ?? detail.node)) return;
      event.stopImmediatePropagation();
      this.#waiting.push([detail.prompt_id, () => api.dispatchCustomEvent("executed", detail)]);
    });
    api.addEventListener("b_preview_with_metadata", (event) => {
      const { jobId, promptId, displayNodeId } = event.detail;
      if (this.#isElsewhere(jobId ?? promptId, displayNodeId)) event.stopImmediatePropagation();
    });
  }

  /** Whether the open graph is the one that a prompt was queued from; unknown prompts count so. */
  isOpen(prompt) {
    const path = this.#workflows.get(prompt)?.path ?? this.#kept[prompt]?.path;
    return path === undefined || (path === this.#active?.path && !this.#isLoading);
  }

  /** Report to the graph of a prompt: now, or when it is open; `report` says whether it could. */
  deliver(prompt, report) {
    if (!this.isOpen(prompt) || !report()) this.#waiting.push([prompt, report]);
  }

  /** Once the host has opened a workflow, tell it what came meanwhile. */
  async opened() {
    do await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    while (this.#isLoading);
    const due = this.#waiting.filter(([prompt]) => this.isOpen(prompt));
    this.#waiting = this.#waiting.filter((each) => !due.includes(each));
    for (const [, report] of due) report();
  }

  get #active() {
    return this.#app.extensionManager.workflow?.activeWorkflow;
  }

  /** True while the host exchanges the graph, and its active workflow is still the last one. */
  get #isLoading() {
    return this.#active?.changeTracker?.constructor.isLoadingGraph === true;
  }

  #isElsewhere(prompt, node) {
    return Boolean(this.#kept[prompt]?.nodes.includes(String(node))) && !this.isOpen(prompt);
  }

  #note(prompt, workflow, nodes) {
    if (!prompt || !workflow) return;
    const own = Object.keys(nodes).filter((id) => ours(nodes[id].class_type));
    this.#workflows.set(prompt, workflow);
    this.#kept[prompt] = { path: workflow.path, nodes: own };
    const latest = Object.entries(this.#kept).slice(-MOST_KEPT);
    this.#kept = Object.fromEntries(latest);
    globalThis.sessionStorage?.setItem(KEY, JSON.stringify(this.#kept));
  }
}
