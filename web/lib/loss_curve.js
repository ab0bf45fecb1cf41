// The loss curve on the node that adapts: a small SVG drawing of what is left of each loss since
// the first step (faint: single steps; strong: their running mean), and a legend with the losses.
// Its points live in the node's properties, so that they are saved with the workflow.

import { addElement } from "./dom_widget.js";
import { html, svg } from "./elements.js";
import {
  SERIES,
  append,
  formatLoss,
  gridValues,
  heightScale,
  linePath,
  nearest,
  progress,
  readPoints,
  sharesOfStart,
  smooth,
  thin,
  valueRange,
} from "./losses.js";
import { say } from "./text.js";

const PROPERTY = "metastyle_losses";
const WIDTH = 300;
const HEIGHT = 100;
const MARGIN = 6;
const WIDGET_HEIGHT_PX = 164;

/** The drawing: give it points and it shows them. It knows no node. */
export class LossCurve {
  #points = [];
  #steps = 0;
  #place = [1, 1];
  #x = () => 0;
  #values = SERIES.map(() => html("output"));
  #step = html("span", { class: "metastyle-curve-step" });
  #labels = html("div", { class: "metastyle-curve-labels", "aria-hidden": "true" });
  #plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  #empty = html("p", {}, say("curveEmpty"));

  constructor() {
    const legend = SERIES.map((name, i) =>
      html("span", { class: `metastyle-${name}` }, html("i"), say(name), " ", this.#values[i]),
    );
    this.element = html(
      "div",
      { class: "metastyle-curve" },
      html("div", { class: "metastyle-curve-legend" }, ...legend, this.#step),
      html("div", { class: "metastyle-curve-plot" }, this.#plot, this.#labels, this.#empty),
    );
    this.#plot.addEventListener("pointermove", (event) => this.#point(event));
    this.#plot.addEventListener("pointerleave", () => this.#read(this.#points.at(-1)));
    this.show([], 0);
  }

  /** Draw points of a run of `steps` steps, the `run`th of `runs`. */
  show(points, steps, run = 1, runs = 1) {
    this.#points = points;
    this.#place = [run, runs];
    this.#steps = Math.max(steps, points.at(-1)?.[0] ?? 0);
    this.element.classList.toggle("metastyle-empty", !points.length);
    this.#draw();
    this.#read(points.at(-1));
  }

  #draw() {
    const shares = sharesOfStart(this.#points);
    const range = valueRange(shares);
    const y = heightScale(range, MARGIN, HEIGHT - MARGIN);
    const first = this.#points[0]?.[0] ?? 0;
    const span = Math.max(1, this.#steps - first);
    this.#x = (step) => ((step - first) / span) * WIDTH;
    const grid = this.#points.length ? gridValues(range) : [];
    this.#plot.replaceChildren(
      ...grid.map((share) => svg("path", { class: "metastyle-grid", d: `M0 ${y(share)}H${WIDTH}` })),
      svg("g", { class: "metastyle-raw" }, ...this.#lines(shares, y)),
      ...this.#lines(smooth(shares), y),
      svg("path", { class: "metastyle-cursor" }),
    );
    this.#labels.replaceChildren(
      ...grid.map((share) => html("span", { style: `top:${y(share)}%` }, `${share * 100} %`)),
    );
  }

  #lines(points, y) {
    return SERIES.map((name, i) =>
      svg("path", { class: `metastyle-${name}`, d: linePath(points, i + 1, this.#x, y) }),
    );
  }

  #point(event) {
    if (!this.#points.length) return;
    const box = this.#plot.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const first = this.#points[0][0];
    const point = nearest(this.#points, first + share * (this.#steps - first));
    this.#read(point);
    this.#plot.lastChild.setAttribute("d", `M${this.#x(point[0])} 0V${HEIGHT}`);
  }

  #read(point) {
    this.#plot.lastChild.removeAttribute("d");
    const numbers = SERIES.map((_, i) => (point ? formatLoss(point[i + 1]) : ""));
    numbers.forEach((number, i) => (this.#values[i].value = number));
    this.#step.textContent = point ? progress(point[0], this.#steps, ...this.#place) : "";
    const spoken = SERIES.map((name, i) => `${say(name)} ${numbers[i]}`).join(", ");
    this.#plot.setAttribute("aria-label", `${say("curve")}: ${point ? spoken : say("curveEmpty")}`);
  }
}

/** The curves of all nodes that adapt, fed by the host's messages. */
export class LossCurves {
  #curves = new WeakMap();
  #running = new WeakMap();

  /** Give a new node its curve. */
  attach(node) {
    const curve = new LossCurve();
    const heights = { min: WIDGET_HEIGHT_PX, max: WIDGET_HEIGHT_PX * 2 };
    addElement(node, "metastyle_losses", curve.element, heights);
    this.#curves.set(node, curve);
    queueMicrotask(() => this.redraw(node));
  }

  /** Show what the node's properties hold: after loading, pasting or undoing. */
  redraw(node) {
    const points = readPoints(node.properties[PROPERTY]);
    this.#curves.get(node)?.show(points, points.at(-1)?.[0] ?? 0);
  }

  /** New points of a running adaptation: all are drawn, an even choice of them is kept. */
  extend(node, { steps, points, run, runs }) {
    const known = this.#running.get(node) ?? readPoints(node.properties[PROPERTY]);
    const all = append(known, points);
    this.#running.set(node, all);
    node.properties[PROPERTY] = thin(all);
    this.#curves.get(node)?.show(all, steps, run, runs);
  }

  /** All points of an adaptation that has ended. */
  finish(node, points) {
    this.#running.delete(node);
    node.properties[PROPERTY] = thin(readPoints(points));
    this.redraw(node);
  }
}
