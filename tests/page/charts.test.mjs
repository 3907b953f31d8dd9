/** Charts, the words beside them, and the model's card. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { caveats, modelOf, percent, sentence, versionsOf } from "../../ml_lstm/serving/server/page/card.mjs";
import { gateChart, inWords, lossChart, shortNames, ticks, written } from "../../ml_lstm/serving/server/page/charts.mjs";

test("ticks are round and cover what is shown", () => {
  for (const [low, high] of [[0, 1.61], [0.9731, 0.9744], [0, 0], [0.2, 0.2], [0, 1e-5], [3, 4000]]) {
    const marks = ticks(low, high);
    assert.ok(marks.length >= 2 && marks.length <= 7, `${marks}`);
    assert.ok(marks[0] <= low && marks.at(-1) >= high, `${low} ${high}: ${marks}`);
  }
  assert.deepEqual(ticks(0, 1.61), [0, 0.5, 1, 1.5, 2]);
  assert.deepEqual([written(0.5, 0.5), written(20, 10), written(0.975, 0.0005)], ["0.5", "20", "0.9750"]);
});

test("the loss falls to the right, inside the chart; what is not known is a gap", () => {
  const { groups, xTicks, width, height } = lossChart([1.6, 0.8, 0.2], 300, 150);
  assert.equal(groups.length, 1);
  const [first, second, third] = groups[0];
  assert.ok(first.x < second.x && second.x < third.x && third.x < width);
  assert.ok(first.y < second.y && second.y < third.y && third.y < height);
  assert.deepEqual(xTicks.map((tick) => tick.text), ["0", "1", "2"]);
  assert.deepEqual(lossChart([1, null, 0.5, 0.4], 300, 150).groups.map((points) => points.length), [1, 2]);
  assert.equal(lossChart([null], 300, 150), null);
});

test("gates are grouped by layer, steps from left to right", () => {
  const gates = [[0.1, 0.2, 0.3], [0.2, 0.1, 0.3]];
  const { groups, xTicks } = gateChart(gates, ["normalized_convolution", "normalized_convolution_1", "head"], 300, 150);
  assert.deepEqual(xTicks.map((tick) => tick.text), ["conv 1", "conv 2", "head"]);
  assert.equal(groups.length, 3);
  const [[first, second]] = groups;
  assert.ok(first.x < second.x && second.x < groups[1][0].x);
  assert.ok(second.y < first.y);
  const [[only]] = gateChart([[0.5]], ["head"], 300, 150).groups;
  assert.equal(only.x, gateChart([[0.5]], ["head"], 300, 150).xTicks[0].x);
  assert.deepEqual(shortNames(["a_long_layer_name"]), ["a long l…"]);
});

test("the charts are said in words", () => {
  const told = inWords({
    losses: [1.609, 0.25],
    layers: ["normalized_convolution", "head"],
    input_gates: [[0.01, 0.2]],
    forget_gates: [[0.99, 0.98]],
  });
  assert.match(told, /In 1 inner step the loss on your images fell from 1\.61 to 0\.25\./);
  assert.match(told, /largest in head \(0\.20/);
  assert.match(told, /keeps 98\.5 %/);
  assert.equal(inWords({ losses: [null, null] }), "");
});

test("a model's sentence says what it learned on, how good it is and on what it guesses", () => {
  const figure = { dataset: "omniglot", n_way: 5, k_shot: 1, accuracy: 0.9753 };
  const card = {
    trained_on: "Omniglot",
    figures: [{ ...figure, k_shot: 5, accuracy: 0.99 }, figure, { ...figure, dataset: "mnist" }],
    flags: { dataset: "omniglot" },
    bad_at: ["Photographs.", "Tiny ones."],
    limits: ["Photographs.", "Tiny ones.", "Any number."],
  };
  assert.equal(sentence(card), "Learned on: Omniglot. With 5 new classes and one image of each, 97.5 % of its answers are right. Not reliable for: Photographs.");
  assert.deepEqual(caveats(card), ["Tiny ones.", "Any number."]);
  assert.equal(sentence({}), "");
  assert.deepEqual(caveats({}), []);
  assert.deepEqual([percent(0.934), percent(1), percent(0.5, 1)], ["93 %", "100 %", "50 %"]);
});

test("a model of an old export is shown too, with what can be told of its signatures", () => {
  const signatures = { adapt_and_predict_encoded: { outputs: { familiarity: {} } }, explain_encoded: {} };
  const model = modelOf({ model_spec: { name: "m", version: "3" }, metadata: { signature_def: { signature_def: signatures } } });
  assert.deepEqual([model.version, model.knowsStrangers, model.explains, model.mostClasses], ["3", true, true, null]);
  const foreign = modelOf({ model_spec: { name: "m", version: 1 }, metadata: {} });
  assert.deepEqual([foreign.adapts, foreign.explains, foreign.version], [false, false, "1"]);
});

test("versions that answer, the newest first", () => {
  const status = (version, state) => ({ version, state });
  const model = { model_version_status: [status("9", "AVAILABLE"), status("10", "AVAILABLE"), status("11", "LOADING")] };
  assert.deepEqual(versionsOf(model), ["10", "9"]);
});
