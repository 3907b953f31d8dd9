/** Starts the page: every change of the app's state updates all views. */

import { App } from "./app.mjs";
import { awayView } from "./away.mjs";
import { caveats, sentence, versionsOf } from "./card.mjs";
import { classesView } from "./classes.mjs";
import { byId, element, say } from "./dom.mjs";
import { learnedView } from "./learned.mjs";
import { questionView } from "./question.mjs";

const NEWEST = "";

function modelView(app) {
  const [models, versions] = [byId("models"), byId("versions")];
  const chosen = () => {
    models.value = app.model.name;
    versions.value = app.fixed ?? NEWEST;
  };
  // Also if the choice failed.
  models.addEventListener("change", () => app.choose(models.value).then(chosen));
  versions.addEventListener("change", () => app.choose(models.value, versions.value || null).then(chosen));
  let shown = "";
  return () => {
    const { model } = app;
    say(byId("notice"), app.notice);
    if (!model) return;
    const mine = app.models.find((one) => one.name === model.name);
    const all = mine ? versionsOf(mine) : [];
    const now = JSON.stringify([app.models.map((one) => one.name), all, model.name, model.version, app.fixed]);
    if (now === shown) return;
    shown = now;
    models.replaceChildren(...app.models.map(({ name }) => element("option", { value: name, text: name })));
    versions.replaceChildren(
      element("option", { value: NEWEST, text: `newest (${all[0] ?? model.version})` }),
      ...all.map((version) => element("option", { value: version, text: version })),
    );
    chosen();
    models.parentElement.hidden = app.models.length < 2;
    versions.parentElement.hidden = all.length < 2;
    say(byId("only"), app.models.length < 2 ? `${model.name}${all.length < 2 ? `, version ${model.version}` : ""}` : "");
    byId("card").textContent = sentence(model.card);
    const more = caveats(model.card);
    byId("caveats").hidden = !more.length;
    byId("caveats").querySelector("ul").replaceChildren(...more.map((text) => element("li", { text })));
    byId("seen").nextElementSibling.textContent = `Show what the model sees (${model.width} × ${model.height} pixels${model.channels === 1 ? ", grey" : ""})`;
    const few = app.drawsFirst ? "one drawing of each is enough" : "a few images of each are enough";
    byId("teach-hint").textContent = `Two classes or more, ${few}. Drop folders here to add a class for each.`;
  };
}

const views = [];
const app = new App(() => views.forEach((view) => view()));
views.push(modelView(app), classesView(app), questionView(app), learnedView(app), awayView(app));
// A picture pasted without a focus becomes a query.
document.addEventListener("paste", (event) => {
  if (event.target.closest?.("#question, .card")) return;
  const files = [...event.clipboardData.files];
  if (files.length) byId("question").dispatchEvent(new ClipboardEvent("paste", { clipboardData: event.clipboardData, cancelable: true }));
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => event.preventDefault());
await app.start();
