/** The support set and the request as files and text, for use without the page. */

/** Folder names for classes: all different on any file system, and none leads to another folder. */
export function folderNames(names) {
  const taken = new Set();
  return names.map((name) => {
    const plain = [...name.normalize("NFC")]
      .map((sign) => (/[\p{Cc}\p{Cf}\p{Cs}<>:"/\\|?*]/u.test(sign) ? "_" : sign))
      .join("")
      .trim()
      .replace(/^\.+|\.+$/g, "_")
      .slice(0, 80);
    const base = plain || "class";
    let own = base;
    for (let number = 2; taken.has(own.toLowerCase()); number += 1) own = `${base} (${number})`;
    taken.add(own.toLowerCase());
    return own;
  });
}

const ENDINGS = { "image/jpeg": "jpg", "image/png": "png" };

/** `{support: [{name, bytes, label}], query: [{name, bytes}]}`, for the command line: a folder for each class. */
export function files(classes, queries) {
  const folders = folderNames(classes.map((one) => one.name));
  const file = (folder, picture, at) => ({
    name: `${folder}/${String(at + 1).padStart(3, "0")}.${ENDINGS[picture.type]}`,
    bytes: picture.bytes,
  });
  return {
    support: classes.flatMap((one, row) =>
      one.pictures.map((picture, at) => ({ ...file(`support/${folders[row]}`, picture, at), label: folders[row] })),
    ),
    query: queries.map((query, at) => file("query", query.picture, at)),
  };
}

function quoted(word) {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** The request for a shell, to be run in the folder of the unpacked files. */
export function curlText({ support, query }, url) {
  // In a here-document the shell expands $(…), so special characters of text are escaped with \.
  const text = (value) => JSON.stringify(value).replace(/[\\$`]/g, "\\$&");
  const file = ({ name }) => `    {"b64": "$(base64 < ${quoted(name)} | tr -d '\\n')"}`;
  const list = (items) => `[\n${items.join(",\n")}]`;
  return [
    `curl ${quoted(url)} --data-binary @- <<REQUEST`,
    '{"signature_name": "adapt_and_predict_encoded", "inputs": {',
    `  "support_images": ${list(support.map(file))},`,
    `  "support_labels": ${list(support.map(({ label }) => `    ${text(label)}`))},`,
    `  "query_images": ${list(query.map(file))}}}`,
    "REQUEST",
    "",
  ].join("\n");
}

/** The same in Python, with its standard library only. */
export function pythonText(url) {
  return `import base64, json, pathlib, urllib.request

def encoded(path):
    return {"b64": base64.b64encode(path.read_bytes()).decode()}

support = sorted(pathlib.Path("support").glob("*/*"))
queries = sorted(pathlib.Path("query").glob("*"))
inputs = {
    "support_images": [encoded(path) for path in support],
    "support_labels": [path.parent.name for path in support],
    "query_images": [encoded(path) for path in queries],
}
body = {"signature_name": "adapt_and_predict_encoded", "inputs": inputs}
request = urllib.request.Request(${JSON.stringify(url)}, json.dumps(body).encode())
outputs = json.load(urllib.request.urlopen(request))["outputs"]
for path, prediction in zip(queries, outputs["predictions"]):
    print(path.name, prediction)
`;
}
