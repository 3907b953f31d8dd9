/** Drawings as strokes: lists of points `[x, y]` in parts of the side, x to the right and y down. */

const NEAR = 0.004; // points that are closer to the last one say nothing new

/** What pens a model's own pictures were drawn with: width in parts of the side, and whether on dark ground. */
const PENS = {
  omniglot: { width: 0.045, light: false },
  glyphs: { width: 0.044, light: false },
  mnist: { width: 0.09, light: true },
};
const OTHER_PEN = { width: 0.05, light: false };

/** The pen `{width, light}` for a model, by its card. */
export function penFor(card) {
  return PENS[card?.flags?.dataset] ?? OTHER_PEN;
}

/** Whether drawings are what a model was trained on. */
export function learnsDrawings(card) {
  return (card?.flags?.dataset ?? "") in PENS || card?.image_shape?.[2] === 1;
}

export function begun(strokes, point) {
  return [...strokes, [point]];
}

/** Draws on to a point. */
export function extended(strokes, point) {
  const last = strokes.at(-1);
  const [x, y] = last.at(-1);
  if (Math.hypot(point[0] - x, point[1] - y) < NEAR) return strokes;
  return [...strokes.slice(0, -1), [...last, point]];
}

export function undone(strokes) {
  return strokes.slice(0, -1);
}

/**
 * A stroke as a smooth path: quadratic curves from middle to middle of its points.
 *
 * @returns `[["M", x, y], ["Q", cx, cy, x, y] …, ["L", x, y]]`, in parts of the side.
 */
export function path(stroke) {
  const [first] = stroke;
  const steps = [["M", ...first]];
  for (let at = 1; at < stroke.length - 1; at += 1) {
    const [[x, y], [nextX, nextY]] = [stroke[at], stroke[at + 1]];
    steps.push(["Q", x, y, (x + nextX) / 2, (y + nextY) / 2]);
  }
  steps.push(["L", ...stroke.at(-1)]);
  return steps;
}
