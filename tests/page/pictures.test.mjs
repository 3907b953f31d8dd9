/** Sizes, what a model sees, strokes, examples, files by folder. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { characters, random, redrawn, things } from "../../ml_lstm/serving/server/page/examples.mjs";
import { grouped } from "../../ml_lstm/serving/server/page/intake.mjs";
import { asSeen, drawingSide, sentSize, sentType } from "../../ml_lstm/serving/server/page/sizes.mjs";
import { begun, extended, learnsDrawings, path, penFor, undone } from "../../ml_lstm/serving/server/page/strokes.mjs";

test("pictures are shrunk by a whole number, and keep twice the model's side", () => {
  assert.deepEqual(sentSize(4000, 3000, 32), [Math.ceil(4000 / 46), Math.ceil(3000 / 46)]);
  for (const [width, height, side] of [[4000, 3000, 32], [640, 480, 84], [127, 300, 32], [10, 5000, 28]]) {
    const sent = sentSize(width, height, side);
    assert.ok(Math.min(...sent) >= Math.min(2 * side, width, height));
    assert.ok(Math.min(...sent) < 4 * side || sent[0] === width);
  }
  assert.deepEqual(sentSize(20, 30, 32), [20, 30]);
});

test("photographs are sent as JPEG, small ones and drawings as PNG", () => {
  assert.equal(sentType("image/jpeg", 168, 200), "image/jpeg");
  assert.equal(sentType("image/jpeg", 64, 90), "image/png");
  assert.equal(sentType("image/png", 400, 400), "image/png");
});

test("drawings are some times the model's size", () => {
  assert.deepEqual([16, 28, 32, 84, 224].map(drawingSide), [96, 112, 128, 336, 336]);
});

test("a model sees means over areas, grey by luminance", () => {
  const gray = [10, 20, 30, 40, 50, 60];
  const data = Uint8ClampedArray.from(gray.flatMap((value) => [value, value, value, 255]));
  // 3 x 2 to 2 x 1: each column is one pixel and a half wide.
  const seen = asSeen({ data, width: 3, height: 2 }, 2, 1, 3);
  assert.deepEqual([seen[0], seen[4]], [Math.round((10 + 40 + (20 + 50) / 2) / 3), Math.round((30 + 60 + (20 + 50) / 2) / 3)]);
  const red = asSeen({ data: Uint8ClampedArray.from([200, 0, 0, 255]), width: 1, height: 1 }, 2, 2, 1);
  assert.deepEqual([...red.subarray(0, 4)], [60, 60, 60, 255]);
});

test("a stroke goes through its ends; undo takes the last one", () => {
  let strokes = extended(extended(begun([], [0.1, 0.1]), [0.5, 0.1]), [0.5, 0.9]);
  assert.equal(extended(strokes, [0.501, 0.901]), strokes);
  const steps = path(strokes[0]);
  assert.deepEqual(steps[0], ["M", 0.1, 0.1]);
  assert.deepEqual(steps.at(-1), ["L", 0.5, 0.9]);
  assert.deepEqual(path([[0.2, 0.3]]), [["M", 0.2, 0.3], ["L", 0.2, 0.3]]);
  strokes = begun(strokes, [0.3, 0.3]);
  assert.equal(undone(strokes).length, 1);
  assert.deepEqual(undone([]), []);
});

test("the pen is that of the model's own pictures", () => {
  assert.ok(penFor({ flags: { dataset: "mnist" } }).light);
  assert.ok(!penFor({ flags: { dataset: "omniglot" } }).light);
  assert.ok(penFor(undefined).width > 0);
  assert.ok(learnsDrawings({ flags: { dataset: "glyphs" } }));
  assert.ok(!learnsDrawings({ flags: { dataset: "cifar_fs" }, image_shape: [32, 32, 3] }));
  assert.ok(learnsDrawings({ flags: { dataset: "folder" }, image_shape: [32, 32, 1] }));
});

test("examples are the same each time, within the picture, and differ from hand to hand", () => {
  assert.deepEqual(characters(), characters());
  assert.deepEqual(things(), things());
  const { classes, queries } = characters(5);
  assert.equal(classes.length, 5);
  const points = [...classes.flatMap((one) => one.drawings), ...queries].flat(2).flat();
  assert.ok(points.every((value) => value > 0.05 && value < 0.95));
  const strokes = classes[0].drawings[0];
  assert.notDeepEqual(redrawn(strokes, random(1)), redrawn(strokes, random(2)));
  for (const shape of things().classes.flatMap((one) => one.drawings.flat())) {
    assert.match(shape.fill, /^hsl\(/);
    assert.ok(shape.circle || shape.polygon.length > 2);
  }
});

test("files are grouped by the folder that they are in, without what is no picture", () => {
  const file = (name, type = "image/png") => ({ name, type });
  const found = [
    { file: file("1.png"), folder: "/animals/bee" },
    { file: file("2.JPG", ""), folder: "/animals/ape" },
    { file: file(".DS_Store", ""), folder: "/animals/ape" },
    { file: file("notes.txt", "text/plain"), folder: "/animals" },
    { file: file("3.png"), folder: "/animals/bee" },
    { file: file("4.png"), folder: "" },
  ];
  assert.deepEqual(
    grouped(found).map(({ name, files }) => [name, files.map((one) => one.name)]),
    [["", ["4.png"]], ["ape", ["2.JPG"]], ["bee", ["1.png", "3.png"]]],
  );
});
