/** What the page holds. */

import assert from "node:assert/strict";
import { test } from "node:test";

import * as states from "../../ml_lstm/serving/server/page/state.mjs";
import { confusion, tally } from "../../ml_lstm/serving/server/page/tally.mjs";

const picture = (...bytes) => ({ bytes: Uint8Array.from(bytes), type: "image/png" });

/** Two classes with a picture each, and one that is asked about. */
function filled() {
  let state = states.addClass(states.addClass(states.emptyState(), "ape"), "bee");
  const [ape, bee] = state.classes.map((one) => one.id);
  state = states.putPicture(states.putPicture(state, ape, picture(1)), bee, picture(2));
  return { state: states.putQuery(state, picture(3)), ape, bee };
}

/** The same, answered. */
function answered(probabilities, familiarity) {
  const { state, ape, bee } = filled();
  const outputs = { classes: [String(bee), String(ape)], probabilities: [probabilities] };
  if (familiarity !== undefined) outputs.familiarity = [familiarity];
  return { state: states.answered(state, states.question(state), outputs), ape, bee };
}

test("classes get names that are free, and ids that nothing else has", () => {
  let state = states.addClass(states.addClass(states.emptyState(), "Class 2"));
  assert.equal(state.classes[1].name, "Class 3");
  state = states.putPicture(state, state.classes[0].id, picture(1));
  state = states.putQuery(state, picture(2));
  const ids = [...state.classes.map((one) => one.id), state.classes[0].pictures[0].id, state.queries[0].id];
  assert.equal(new Set(ids).size, 4);
});

test("a picture with a known id takes the place of the one before", () => {
  const { state, ape } = filled();
  const [{ id }] = state.classes[0].pictures;
  const after = states.putPicture(state, ape, { ...picture(9), id });
  assert.deepEqual(after.classes[0].pictures.map((one) => [...one.bytes]), [[9]]);
  assert.deepEqual([...state.classes[0].pictures[0].bytes], [1]);
});

test("a picture that is prepared anew is put where it is, and nowhere where it is gone or drawn on", () => {
  const { state, ape } = filled();
  const [before] = state.classes[0].pictures;
  const after = states.replacePicture(state, before, picture(9));
  assert.deepEqual([after.classes[0].pictures[0].id, ...after.classes[0].pictures[0].bytes], [before.id, 9]);
  assert.deepEqual(states.replacePicture(states.removePicture(state, ape, before.id), before, picture(9)).classes[0].pictures, []);
  const drawnOn = states.putPicture(state, ape, { ...picture(1, 1), id: before.id });
  assert.deepEqual(states.replacePicture(drawnOn, before, picture(9)), drawnOn);
});

test("a request has ids for labels and leaves out classes without pictures", () => {
  const { state, ape, bee } = filled();
  const asked = states.question(states.addClass(state, "empty"));
  assert.deepEqual(asked.support.map((one) => one.label), [String(ape), String(bee)]);
  assert.equal(asked.queries.length, 1);
});

test("an answer is in the order of the cards, whatever the server's", () => {
  const { state, ape, bee } = answered([0.75, 0.25]);
  assert.deepEqual(state.queries[0].answer.scores, [
    { id: ape, probability: 0.25 },
    { id: bee, probability: 0.75 },
  ]);
  assert.equal(states.predicted(state.queries[0].answer), bee);
});

test("a picture that is too strange is of none of the classes; without a familiarity that cannot be said", () => {
  assert.equal(states.predicted(answered([0.9, 0.1], 0.049).state.queries[0].answer), states.NONE);
  const { state, bee } = answered([0.9, 0.1], 0.05);
  assert.equal(states.predicted(state.queries[0].answer), bee);
  assert.equal(answered([0.9, 0.1]).state.queries[0].answer.familiarity, null);
});

test("an answer to a picture that is gone is passed over", () => {
  const { state } = filled();
  const asked = states.question(state);
  const gone = states.removeQuery(state, state.queries[0].id);
  const outputs = { classes: asked.support.map((one) => one.label), probabilities: [[0.5, 0.5]] };
  assert.deepEqual(states.answered(gone, asked, outputs).queries, []);
});

test("what is lacking is said in words", () => {
  const none = states.emptyState();
  assert.match(states.lacking(none, null), /Two classes/);
  const two = states.addClass(states.addClass(none));
  assert.match(states.lacking(two, null), /image to two classes/);
  assert.match(states.lacking(states.putPicture(two, two.classes[0].id, picture(1)), null), /image to another class/);
  const { state } = filled();
  assert.equal(states.lacking(state, null), null);
  assert.equal(states.lacking(state, 2), null);
  assert.match(states.lacking(state, 1), /at most 1 classes, and 2 have images: remove 1/);
  assert.match(states.lacking(states.removeQuery(state, state.queries[0].id), null), /Add an image to classify/);
});

test("a problem is said at its picture and goes with the next answer", () => {
  const { state } = filled();
  const wrong = states.withProblem(state, state.classes[1].pictures[0].id, "damaged");
  assert.deepEqual(wrong.classes.map((one) => one.pictures[0].problem), [undefined, "damaged"]);
  assert.equal(states.withoutProblems(wrong).classes[1].pictures[0].problem, null);
});

test("removing the query that is looked at selects the one beside it", () => {
  let { state } = filled();
  state = states.putQuery(states.putQuery(state, picture(4)), picture(5));
  const ids = state.queries.map((query) => query.id);
  state = states.select(state, ids[1]);
  assert.equal(states.removeQuery(state, ids[1]).selected, ids[2]);
  assert.equal(states.removeQuery(state, ids[0]).selected, ids[1]);
});

test("removing a class takes it out of answers and marks", () => {
  const { state, ape, bee } = answered([0.6, 0.4]);
  const marked = states.mark(state, state.queries[0].id, ape);
  const after = states.removeClass(marked, bee);
  assert.deepEqual(after.marks, []);
  assert.equal(after.queries[0].answer, null);
});

test("marks make a tally and a confusion matrix; marking again replaces", () => {
  const { state, ape, bee } = answered([0.6, 0.4]);
  const [{ id }] = state.queries;
  assert.deepEqual(tally(states.mark(state, id, bee).marks), { right: 1, all: 1 });
  const wrong = states.mark(states.mark(state, id, bee), id, states.NONE);
  assert.deepEqual(tally(wrong.marks), { right: 0, all: 1 });
  const { rows, columns } = confusion(wrong.marks, wrong.classes);
  assert.deepEqual(columns.map((one) => one.id), [bee, states.NONE]);
  assert.deepEqual(rows.map((one) => one.counts), [
    [0, 0],
    [1, 0],
  ]);
  assert.equal(confusion([...wrong.marks, { query: 99, truth: ape, predicted: ape }], wrong.classes).rows[0].counts[0], 1);
  assert.deepEqual(states.unmarkAll(wrong).queries[0].mark, null);
});
