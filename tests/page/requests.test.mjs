/** Requests: what is sent, what refusals mean, and when it is asked. */

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Asker, Problem, askBody, base64, explainBody, modelPath, post, refusal } from "../../ml_lstm/serving/server/page/requests.mjs";

const picture = (...bytes) => ({ bytes: Uint8Array.from(bytes) });
const ASKED = {
  support: [
    { id: 1, label: "7", picture: picture(1, 2, 3) },
    { id: 2, label: "8", picture: picture(255, 0) },
  ],
  queries: [{ id: 3, picture: picture(4) }],
};

test("paths name the model, and the version where one was chosen", () => {
  assert.equal(modelPath("a b/c", null, ":predict"), "/v1/models/a%20b%2Fc:predict");
  assert.equal(modelPath("m", "3", "/metadata"), "/v1/models/m/versions/3/metadata");
});

test("bytes are base64, however many", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => at % 251);
  assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
});

test("bodies are those of the signatures", () => {
  assert.deepEqual(JSON.parse(askBody(ASKED)), {
    signature_name: "adapt_and_predict_encoded",
    inputs: {
      support_images: [{ b64: "AQID" }, { b64: "/wA=" }],
      support_labels: ["7", "8"],
      query_images: [{ b64: "BA==" }],
    },
  });
  assert.deepEqual(Object.keys(JSON.parse(explainBody(ASKED)).inputs), ["support_images", "support_labels"]);
});

test("refusals are told at the picture that they concern", () => {
  const busy = refusal(429, "busy", "2", ASKED, 3);
  assert.deepEqual([busy.kind, busy.retry, busy.pictureId], ["busy", 2, 3]);
  assert.equal(refusal(429, "busy", null, ASKED, 3).retry, 1);
  const large = refusal(413, "The request is too large: its body has 9, and this server takes at most 2097152.", null, ASKED, 3);
  assert.equal(large.pictureId, 1);
  assert.match(large.message, /2 MB/);
  const damaged = refusal(400, "support_images: the image at index 1 is damaged: save it again.", null, ASKED, 3);
  assert.equal(damaged.pictureId, 2);
  assert.match(damaged.message, /it is damaged/);
  assert.equal(refusal(400, "query_images: the image at index 0 is damaged", null, ASKED, 3).pictureId, 3);
  const words = "The model can distinguish at most 5 classes; the support set has 6.";
  assert.equal(refusal(400, words, null, ASKED, 3).message, words);
  assert.equal(refusal(404, "no version 3", null, ASKED, 3).kind, "missing");
  assert.equal(refusal(503, "", null, ASKED, 3).retry, 2);
});

test("where there is no server, or something else in its place, that is told and tried again", async () => {
  const { signal } = new AbortController();
  for (const fetcher of [() => Promise.reject(new TypeError("refused")), async () => new Response("<html>", { status: 502 })]) {
    await assert.rejects(post(fetcher, "/", "", signal, ASKED, 3), (error) => error instanceof Problem && error.kind === "down" && error.retry > 0);
  }
  const fetcher = async () => new Response('{"outputs": {"classes": []}}');
  assert.deepEqual(await post(fetcher, "/", "", signal, ASKED, 3), { classes: [] });
});

/** An asker whose requests are answered by hand, with a clock that is moved by hand. */
function asking(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sent = [];
  const heard = [];
  const send = (signal) =>
    new Promise((answer, fail) => {
      sent.push({ signal, answer, fail });
      signal.addEventListener("abort", () => fail(new Error("aborted")));
    });
  const asker = new Asker(send, {
    thinking: () => heard.push("thinking"),
    answer: (answer) => (typeof answer === "function" ? answer() : heard.push(answer)),
    problem: (problem) => heard.push(problem.kind),
  });
  const settle = () => new Promise((done) => setImmediate(done));
  return { asker, sent, heard, settle, pass: (time) => t.mock.timers.tick(time) };
}

test("changes in quick succession are one request", (t) => {
  const { asker, sent, pass } = asking(t);
  for (let change = 0; change < 5; change += 1) {
    asker.ask({ wait: 100 });
    pass(50);
  }
  assert.equal(sent.length, 0);
  pass(100);
  assert.equal(sent.length, 1);
});

test("a newer request aborts the older one, of which nothing is heard", async (t) => {
  const { asker, sent, heard, settle, pass } = asking(t);
  asker.ask();
  pass(200);
  asker.ask();
  assert.ok(sent[0].signal.aborted);
  pass(200);
  sent[1].answer("second");
  await settle();
  assert.deepEqual(heard, ["thinking", "thinking", "second"]);
});

test("while a pen moves, answers come: one request after the other, and the last stroke counts", async (t) => {
  const { asker, sent, heard, settle, pass } = asking(t);
  asker.ask({ live: true });
  asker.ask({ live: true });
  pass(50);
  asker.ask({ live: true });
  asker.ask({ live: true });
  pass(500);
  assert.deepEqual(sent.map(({ signal }) => signal.aborted), [false]);
  sent[0].answer("first");
  await settle();
  pass(50);
  assert.equal(sent.length, 2);
  sent[1].answer("last");
  await settle();
  pass(500);
  assert.equal(sent.length, 2);
  assert.deepEqual(heard, ["thinking", "first", "thinking", "last"]);
});

test("it is busy from the change to the last answer", async (t) => {
  const { asker, sent, settle, pass } = asking(t);
  const when = [];
  const note = () => when.push(asker.busy);
  note();
  asker.ask({ live: true });
  note();
  pass(50);
  asker.ask({ live: true });
  sent[0].answer(note); // heard with another due
  await settle();
  note();
  pass(50);
  sent[1].answer("last");
  await settle();
  note();
  assert.deepEqual(when, [false, true, true, true, false]);
});

test("what passes by itself is asked again, anything else is not", async (t) => {
  const { asker, sent, heard, settle, pass } = asking(t);
  asker.ask();
  pass(200);
  sent[0].fail(new Problem("busy", "", { retry: 1 }));
  await settle();
  pass(900);
  assert.equal(sent.length, 1);
  pass(200);
  sent[1].fail(new Problem("refused", ""));
  await settle();
  pass(10_000);
  assert.equal(sent.length, 2);
  assert.deepEqual(heard, ["thinking", "busy", "thinking", "refused"]);
});

test("stopped, it asks no more", async (t) => {
  const { asker, sent, settle, pass } = asking(t);
  asker.ask();
  asker.stop();
  pass(500);
  asker.ask();
  pass(500);
  asker.stop();
  assert.ok(sent[0].signal.aborted);
  await settle();
  pass(10_000);
  assert.equal(sent.length, 1);
  mock.reset();
});
