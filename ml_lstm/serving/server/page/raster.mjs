/** Pictures on canvases: files rotated, shrunk and encoded again, painted strokes and shapes, thumbnails. */

import { asSeen, drawingSide, sentSize, sentType } from "./sizes.mjs";
import { path } from "./strokes.mjs";

const GROUND = { true: "#000", false: "#fff" };
const INK = { true: "#fff", false: "#000" };

/** A file that cannot be read, with a message for the user. */
export class NoPicture extends Error {}

function canvasOf(width, height, ground = "#fff") {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  return [canvas, context];
}

/**
 * Prepares a picture for sending, from its source.
 *
 * @param source `{blob, name}`, `{strokes}`, `{shapes}` or `{canvas}`; it is kept in the picture, for another model.
 * @param model see `modelOf`.
 * @param pen see `penFor`.
 * @throws {NoPicture} for a file that the browser cannot read.
 */
export async function prepared(source, model, pen) {
  const [canvas, type] = await rendered(source, model, pen);
  const blob = await new Promise((done) => canvas.toBlob(done, type, 0.92));
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return { bytes, type, width: canvas.width, height: canvas.height, canvas, source, problem: null };
}

async function rendered(source, model, pen) {
  if (source.blob) return shrunk(await read(source), source.blob.type, model.side);
  if (source.canvas) return shrunk(source.canvas, "image/jpeg", model.side);
  const side = drawingSide(model.side);
  const [canvas, context] = canvasOf(side, side, GROUND[pen.light]);
  if (source.strokes) paintStrokes(context, source.strokes, side, pen);
  else paintShapes(context, source.shapes, side);
  return [canvas, "image/png"];
}

async function read({ blob, name }) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new NoPicture(`${name || "The pasted file"} is not an image that this browser can read.`);
  }
}

/** Halves a picture as often as possible, so that no pixel is skipped. */
function shrunk(image, type, side) {
  const [width, height] = sentSize(image.width, image.height, side);
  let from = image;
  while (from.width > 2 * width) {
    const [half, context] = canvasOf(Math.ceil(from.width / 2), Math.ceil(from.height / 2));
    context.drawImage(from, 0, 0, half.width, half.height);
    from = half;
  }
  const [canvas, context] = canvasOf(width, height);
  context.drawImage(from, 0, 0, width, height);
  image.close?.();
  return [canvas, sentType(type, width, height)];
}

/** Paints strokes on a square of `side` pixels. */
export function paintStrokes(context, strokes, side, pen) {
  Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: pen.width * side, strokeStyle: INK[pen.light] });
  for (const stroke of strokes) {
    context.beginPath();
    for (const [step, ...at] of path(stroke)) {
      const scaled = at.map((value) => value * side);
      if (step === "M") context.moveTo(...scaled);
      else if (step === "Q") context.quadraticCurveTo(...scaled);
      else context.lineTo(...scaled);
    }
    context.stroke();
  }
}

export function paintGround(context, side, pen) {
  context.fillStyle = GROUND[pen.light];
  context.fillRect(0, 0, side, side);
}

function paintShapes(context, shapes, side) {
  for (const { fill, circle, polygon } of shapes) {
    context.fillStyle = fill;
    context.beginPath();
    if (circle) context.arc(circle[0] * side, circle[1] * side, circle[2] * side, 0, 2 * Math.PI);
    else for (const [x, y] of polygon) context.lineTo(x * side, y * side);
    context.fill();
  }
}

/** Shows a picture on a canvas: whole, or as the model sees it. */
export function show(place, picture, model, seen) {
  if (place.shown === picture.bytes && place.seen === seen && place.model === model) return;
  Object.assign(place, { shown: picture.bytes, seen, model });
  place.classList.toggle("pixels", seen);
  const context = place.getContext("2d");
  if (seen) {
    Object.assign(place, { width: model.width, height: model.height });
    const { canvas } = picture;
    const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const pixels = asSeen(all, model.width, model.height, model.channels);
    context.putImageData(new ImageData(pixels, model.width, model.height), 0, 0);
  } else {
    Object.assign(place, { width: picture.width, height: picture.height });
    context.drawImage(picture.canvas, 0, 0);
  }
}
