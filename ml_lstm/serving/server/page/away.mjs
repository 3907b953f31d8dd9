/** "Use it elsewhere": the pictures as a zip, the request as text. */

import { button, byId, element } from "./dom.mjs";
import { usable } from "./state.mjs";
import { curlText, files, pythonText } from "./takeaway.mjs";
import { zipped } from "./zip.mjs";

/** Sets up this section, which is closed at first; returns a function that shows a new state. */
export function awayView(app) {
  const place = byId("takeaway");
  const text = element("pre", { tabIndex: 0, role: "region", "aria-label": "The request as text" });
  const said = element("span", { class: "hint", role: "status" });
  const kinds = { curl: "The request as curl", python: "as Python" };
  let kind = "curl";
  const choices = Object.entries(kinds).map(([name, words]) =>
    button(words, () => {
      kind = name;
      show();
    }),
  );
  const download = button("Download the images (.zip)", () => saved(app), { class: "strong" });
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(text);
      said.textContent = "Selected: press Ctrl+C.";
    }
  });
  const words =
    "The zip has a folder for each class in support/ and the images to classify in query/, for python -m ml_lstm.adapt " +
    "--support=support --query=query. The request below reads the same files: unpack the zip and run it in that folder.";
  place.querySelector(".inside").append(
    element("p", { text: words }),
    element("div", { class: "tools" }, download),
    element("div", { class: "tools" }, ...choices, copy, said),
    text,
  );
  place.addEventListener("toggle", show);
  return show;

  function show() {
    if (!place.open) return;
    choices.forEach((choice, at) => choice.setAttribute("aria-pressed", Object.keys(kinds)[at] === kind));
    const ready = usable(app.state).length > 0 && app.model !== null;
    download.disabled = !ready;
    const found = ready ? files(usable(app.state), app.state.queries) : null;
    const now = ready ? (kind === "curl" ? curlText(found, app.url) : pythonText(app.url)) : "There are no images yet.";
    if (text.textContent === now) return;
    text.textContent = now;
    said.textContent = "";
  }
}

function saved(app) {
  const { support, query } = files(usable(app.state), app.state.queries);
  const url = URL.createObjectURL(new Blob([zipped([...support, ...query])], { type: "application/zip" }));
  element("a", { href: url, download: `${app.model.name}-pictures.zip` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
