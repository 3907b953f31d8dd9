/** Drawings as strokes: lists of points `[x, y]` in fractions of the side, x to the right and y down. */

const NEAR = 0.004; // points closer than this to the last one are left out

/** The pens of models' training images: width as a fraction of the side, and whether the background is dark. */
const PENS = {
  omniglot: { width: 0.045, light: false },
  glyphs: { width: 0.044, light: false },
  mnist: { width: 0.09, light: true },
};
const OTHER_PEN = { width: 0.05, light: false };

/** The pen `{width, light}` for a model, from its card. */
export function penFor(card) {
  return PENS[card?.flags?.dataset] ?? OTHER_PEN;
}

/** Whether a model was trained on drawings. */
export function learnsDrawings(card) {
  return (card?.flags?.dataset ?? "") in PENS || card?.image_shape?.[2] === 1;
}

export function begun(strokes, point) {
  return [...strokes, [point]];
}

/** Extends the last stroke to a point. */
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
 * A stroke as a smooth path: quadratic curves between the midpoints of its points.
 *
 * @returns `[["M", x, y], ["Q", cx, cy, x, y] …, ["L", x, y]]`, in fractions of the side.
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
