/** The layout of the charts of "How it learned", in pixels; the drawing code has no numbers of its own. */

const MARGIN = { left: 44, right: 10, top: 10, bottom: 24 };

/** About `count` round numbers within or around `[low, high]`. */
export function ticks(low, high, count = 3) {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => span / size <= count + 0.5);
  const from = Math.floor(low / step + 1e-9);
  const to = Math.max(Math.ceil(high / step - 1e-9), from + 1);
  return Array.from({ length: to - from + 1 }, (_, at) => Number(((from + at) * step).toPrecision(10)));
}

/** A number with as many digits as the distance between ticks needs. */
export function written(value, step) {
  return value.toFixed(Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 6));
}

function vertical(values, height, zero) {
  const known = values.filter((value) => value !== null);
  const marks = ticks(zero ? 0 : Math.min(...known), Math.max(...known));
  const [low, high] = [marks[0], marks.at(-1)];
  const inside = height - MARGIN.top - MARGIN.bottom;
  const y = (value) => MARGIN.top + inside * (1 - (value - low) / (high - low));
  const step = marks[1] - marks[0];
  return { y, yTicks: marks.map((value) => ({ y: y(value), text: written(value, step) })) };
}

/** Polylines through the points; a point without a value is a gap. */
function lines(points) {
  const pieces = [[]];
  for (const point of points) {
    if (point.y === null) pieces.push([]);
    else pieces.at(-1).push(point);
  }
  return pieces.filter((piece) => piece.length);
}

/**
 * The loss by inner step.
 *
 * @param losses T + 1 numbers, null for a missing one.
 * @returns `{width, height, left, right, bottom, yTicks, xTicks, groups}`; null if no loss is known.
 */
export function lossChart(losses, width, height) {
  if (!losses.some((loss) => loss !== null)) return null;
  const { y, yTicks } = vertical(losses, height, true);
  const across = width - MARGIN.left - MARGIN.right - 16;
  const x = (step) => MARGIN.left + 8 + (across * step) / Math.max(losses.length - 1, 1);
  const every = Math.ceil(losses.length / 8);
  const points = losses.map((loss, step) => ({
    x: x(step),
    y: loss === null ? null : y(loss),
    text: `Step ${step}: ${loss?.toFixed(3)}`,
  }));
  const xTicks = points.map((point, step) => ({ x: point.x, text: String(step) })).filter((_, at) => at % every === 0);
  return { ...frame(width, height), yTicks, xTicks, groups: lines(points) };
}

/**
 * A gate's mean by layer and step: a group for each layer, with its steps from left to right.
 *
 * @param gates `[T][L]`.
 * @param layers L names.
 */
export function gateChart(gates, layers, width, height) {
  const values = gates.flat();
  if (!values.some((value) => value !== null)) return null;
  const { y, yTicks } = vertical(values, height, false);
  const room = (width - MARGIN.left - MARGIN.right) / layers.length;
  const names = shortNames(layers);
  const middle = (layer) => MARGIN.left + room * (layer + 0.5);
  const across = (step) => (gates.length === 1 ? 0 : room * 0.7 * (step / (gates.length - 1) - 0.5));
  const groups = layers.flatMap((_, layer) =>
    lines(
      gates.map((row, step) => ({
        x: middle(layer) + across(step),
        y: row[layer] === null ? null : y(row[layer]),
        text: `${names[layer]}, step ${step + 1}: ${row[layer]?.toPrecision(3)}`,
      })),
    ),
  );
  return { ...frame(width, height), yTicks, xTicks: names.map((text, at) => ({ x: middle(at), text })), groups };
}

function frame(width, height) {
  return { width, height, left: MARGIN.left, right: width - MARGIN.right, bottom: height - MARGIN.bottom };
}

/** Names that fit below a chart: `normalized_convolution_3` is `conv 4`. */
export function shortNames(layers) {
  let convolutions = 0;
  return layers.map((name) => {
    if (/conv/i.test(name)) return `conv ${(convolutions += 1)}`;
    const words = name.replaceAll("_", " ");
    return words.length > 9 ? `${words.slice(0, 8)}…` : words;
  });
}

/** Sentences that describe the charts, also for users who cannot see them. */
export function inWords({ losses, layers, input_gates: input, forget_gates: forget }) {
  const [first, last] = [losses[0], losses.at(-1)];
  const steps = losses.length - 1;
  const parts = [];
  if (first !== null && last !== null) {
    const way = last < first ? "fell" : "went";
    parts.push(
      `In ${steps} inner ${steps === 1 ? "step" : "steps"} the loss on your images ${way} from ${first.toFixed(2)} to ${last.toFixed(2)}.`,
    );
  }
  if (input) {
    const names = shortNames(layers);
    const means = layers.map((_, layer) => input.reduce((sum, row) => sum + row[layer], 0) / input.length);
    const most = means.indexOf(Math.max(...means));
    const kept = forget.flat().reduce((sum, value) => sum + value, 0) / forget.flat().length;
    parts.push(`The input gate, a learned step size, is largest in ${names[most]} (${means[most].toPrecision(2)} on average).`);
    parts.push(`The forget gate keeps ${(100 * kept).toFixed(1)} % of the weights at a step.`);
  }
  return parts.join(" ");
}
