// What a loss curve is made of: points [step, content, style, total], kept few and small.
// Pure functions; the drawing is in loss_curve.js.

export const SERIES = ["content", "style", "total"];
export const MOST_POINTS = 200;

/** True for [step, content, style, total] with finite numbers. */
function isPoint(point) {
  return Array.isArray(point) && point.length === 4 && point.every(Number.isFinite);
}

/** Four significant digits are more than a curve shows, and keep workflows small. */
function round(value) {
  return Number(value.toPrecision(4));
}

/** Whatever came out of a file or a message, as points in the order of their steps. */
export function readPoints(value) {
  if (!Array.isArray(value)) return [];
  const points = value.filter(isPoint).map(([step, ...losses]) => [step, ...losses.map(round)]);
  return points.sort((a, b) => a[0] - b[0]);
}

/** At most `most` points, evenly picked; the first and the last always stay. */
export function thin(points, most = MOST_POINTS) {
  if (points.length <= most) return points;
  const stride = (points.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, i) => points[Math.round(i * stride)]);
}

/** Points known so far and those that just came; a step that begins anew starts over. */
export function append(points, arrived) {
  const fresh = readPoints(arrived);
  if (!fresh.length) return points;
  const first = fresh[0][0];
  return [...points.filter(([step]) => step < first), ...fresh];
}

/** Each loss as a share of where it began, so that losses of different size share one scale. */
export function sharesOfStart(points) {
  const starts = SERIES.map((_, i) => points.find((point) => point[i + 1] > 0)?.[i + 1] ?? 1);
  return points.map(([step, ...losses]) => [step, ...losses.map((loss, i) => loss / starts[i])]);
}

/** Each loss as a running mean: single steps differ by which contents they drew. */
export function smooth(points, keep = 0.8) {
  const sums = SERIES.map(() => 0);
  let weight = 0;
  return points.map(([step, ...losses]) => {
    weight = keep * weight + 1;
    losses.forEach((loss, i) => (sums[i] = keep * sums[i] + loss));
    return [step, ...sums.map((sum) => sum / weight)];
  });
}

/** Lowest and highest positive value of all series, at least a tenth apart. */
export function valueRange(points) {
  const values = points.flatMap(([, ...numbers]) => numbers).filter((value) => value > 0);
  if (!values.length) return [0.5, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  return high / low < 1.1 ? [low / 1.05, high * 1.05] : [low, high];
}

/** Round values inside a range (1, 2, 5 times a power of ten), for the grid. */
export function gridValues([low, high]) {
  const powers = Array.from({ length: 13 }, (_, i) => 10 ** (i - 6));
  return powers.flatMap((power) => [1, 2, 5].map((digit) => Number((digit * power).toPrecision(1))))
    .filter((value) => value >= low * 0.999 && value <= high * 1.001);
}

/** A function from value to a height in pixels, on a logarithmic scale with the best at the bottom. */
export function heightScale([low, high], top, bottom) {
  const span = Math.log(high / low);
  return (value) => bottom - ((bottom - top) * Math.log(Math.max(value, low) / low)) / span;
}

/** SVG path data of one series. */
export function linePath(points, column, x, y) {
  return points
    .map((point, i) => `${i ? "L" : "M"}${x(point[0]).toFixed(1)} ${y(point[column]).toFixed(1)}`)
    .join("");
}

/** The point whose step lies nearest. */
export function nearest(points, step) {
  return points.reduce(
    (best, point) => (Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best),
    points[0],
  );
}

/** How far a node is: the step of its steps, behind the run of its runs where there are several. */
export function progress(step, steps, run = 1, runs = 1) {
  const own = `${step} / ${steps}`;
  return runs > 1 ? `${run} / ${runs} · ${own}` : own;
}

/** A loss as people read it: 0.0123, 1.23, 123. */
export function formatLoss(value) {
  if (value !== 0 && Math.abs(value) < 0.001) return value.toExponential(1);
  return Number(value.toPrecision(3)).toString();
}
