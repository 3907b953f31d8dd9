/** What is taken away: archives that others open, text that shells and Python run. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { execFile } from "node:child_process";

import { curlText, files, folderNames, pythonText } from "../../ml_lstm/serving/server/page/takeaway.mjs";
import { crc32, zipped } from "../../ml_lstm/serving/server/page/zip.mjs";

const PYTHON = process.env.PYTHON ?? "python3";
const place = mkdtempSync(join(tmpdir(), "page-"));
after(() => rmSync(place, { recursive: true }));

const HOSTILE = ["it's $(touch hacked) `id` \"x\" \\", "<img src=x onerror=alert(1)>", "../up", "", "été"];

function everything() {
  const picture = (...bytes) => ({ bytes: Uint8Array.from(bytes), type: "image/png" });
  const classes = HOSTILE.map((name, at) => ({ name, pictures: [picture(at, 200), { ...picture(at), type: "image/jpeg" }] }));
  return files(classes, [{ picture: picture(9, 9) }]);
}

function unpacked({ support, query }) {
  for (const { name, bytes } of [...support, ...query]) {
    mkdirSync(dirname(join(place, name)), { recursive: true });
    writeFileSync(join(place, name), bytes);
  }
}

function expected({ support, query }) {
  const b64 = ({ bytes }) => ({ b64: Buffer.from(bytes).toString("base64") });
  return {
    signature_name: "adapt_and_predict_encoded",
    inputs: {
      support_images: support.map(b64),
      support_labels: support.map((one) => one.label),
      query_images: query.map(b64),
    },
  };
}

test("crc32 has the check value of its catalogue", () => {
  assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
});

test("Python opens an archive and finds every file whole", () => {
  const all = everything();
  const archive = join(place, "pictures.zip");
  writeFileSync(archive, zipped([...all.support, ...all.query]));
  const program = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    assert archive.testzip() is None
    print(json.dumps({name: list(archive.read(name)) for name in archive.namelist()}))`;
  const found = JSON.parse(execFileSync(PYTHON, ["-c", program, archive], { encoding: "utf8", env: { ...process.env, PYTHONUTF8: "1" } }));
  assert.deepEqual(found, Object.fromEntries([...all.support, ...all.query].map(({ name, bytes }) => [name, [...bytes]])));
});

test("folders are plain names, no two alike on any disk", () => {
  const names = folderNames(["Ape", "ape", "../up", "..", "", "a/b\\c:d", "x".repeat(300)]);
  assert.equal(new Set(names.map((name) => name.toLowerCase())).size, names.length);
  for (const name of names) assert.match(name, /^[^./\\:]+(\.[^./\\:]+)*$|^_.*$/);
  assert.deepEqual(names.slice(0, 2), ["Ape", "ape (2)"]);
});

test("a shell sends just what the page does, and runs nothing that a name says", () => {
  const all = everything();
  unpacked(all);
  const curl = join(place, "curl");
  writeFileSync(curl, '#!/bin/sh\nprintf "%s\\n" "$@" > arguments\ncat > body\n');
  chmodSync(curl, 0o755);
  execFileSync("sh", ["-c", curlText(all, "http://h/v1/models/it's:predict")], {
    cwd: place,
    env: { ...process.env, PATH: `${place}:${process.env.PATH}` },
  });
  assert.deepEqual(JSON.parse(readFileSync(join(place, "body"), "utf8")), expected(all));
  assert.match(readFileSync(join(place, "arguments"), "utf8"), /^http:\/\/h\/v1\/models\/it's:predict\n/);
  assert.throws(() => readFileSync(join(place, "hacked")));
});

test("Python sends the same pictures under the same labels, and prints the answers", async () => {
  const all = everything();
  unpacked(all);
  let body = null;
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    body = JSON.parse(Buffer.concat(chunks));
    response.end(JSON.stringify({ outputs: { predictions: ["x"] } }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const program = pythonText(`http://127.0.0.1:${server.address().port}/v1/models/m:predict`);
  const { stdout } = await promisify(execFile)(PYTHON, ["-c", program], { cwd: place });
  server.close();
  const pairs = ({ inputs }) => inputs.support_images.map(({ b64 }, at) => `${inputs.support_labels[at]} ${b64}`).sort();
  assert.deepEqual(pairs(body), pairs(expected(all)));
  assert.equal(stdout.trim(), "001.png x");
});
