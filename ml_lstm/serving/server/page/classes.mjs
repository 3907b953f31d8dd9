/** The class cards. */

import { button, byId, element, keyed, say } from "./dom.mjs";
import { acceptDrops, choose } from "./intake.mjs";
import { addFolders, fillIn } from "./pictures.mjs";
import { show } from "./raster.mjs";
import { LivePad, takeFiles, wayButtons } from "./sources.mjs";
import * as states from "./state.mjs";

const HUES = 8;

/** Sets up the classes' side; returns a function that shows a new state. */
export function classesView(app) {
  byId("example").addEventListener("click", () => app.model && fillIn(app));
  byId("add-class").addEventListener("click", () => {
    app.change((state) => states.addClass(state));
    byId("add-class").previousElementSibling.querySelector("input").select();
  });
  byId("add-folder").addEventListener("click", () => app.model && choose((found) => addFolders(app, found), { folder: true }));
  byId("clear-all").addEventListener("click", () => {
    const empty = (state) => [1, 2].reduce((some) => states.addClass(some), states.cleared(state));
    app.change(empty);
  });
  byId("seen").addEventListener("change", (event) => {
    app.seeing = event.target.checked;
    app.change((state) => state, null);
  });
  acceptDrops(byId("teach"), (found) => app.model && addFolders(app, found));
  return () => {
    const most = app.model?.mostClasses ?? null;
    const full = most !== null && app.state.classes.length >= most;
    byId("add-class").disabled = full;
    byId("add-class").title = full ? `This model can distinguish at most ${most} classes.` : "";
    say(byId("classes-problem"), tooMany(app, most));
    keyed(byId("classes"), app.state.classes, (one) => card(app, one));
  };
}

function tooMany(app, most) {
  if (most !== null && states.usable(app.state).length > most) return states.lacking(app.state, most);
  const { problem } = app;
  return problem?.kind === "refused" && /class/.test(problem.message) ? problem.message : "";
}

/** The number of a class's colour. */
export function hue(state, id) {
  return state.classes.findIndex((one) => one.id === id) % HUES;
}

function card(app, { id }) {
  const put = (state, picture) => states.putPicture(state, id, picture);
  const name = element("input", {
    type: "text",
    maxLength: 100,
    autocomplete: "off",
    spellcheck: false,
    on: { input: () => app.change((state) => states.renameClass(state, id, name.value), null) },
  });
  const remove = button("×", () => {
    const beside = [place.nextElementSibling, place.previousElementSibling];
    const next = beside.map((one) => one?.querySelector("input")).find(Boolean);
    app.change((state) => states.removeClass(state, id));
    (next ?? byId("add-class")).focus();
  });
  const live = new LivePad(app, "", {
    put,
    remove: (state, picture) => states.removePicture(state, id, picture),
    newest: (state) => state.classes.find((one) => one.id === id).pictures.at(-1).id,
    keep: (state, picture) => {
      const kept = state.classes.find((one) => one.id === id)?.pictures.find((one) => one.id === picture);
      return kept ? states.putPicture(state, id, { ...kept, live: false }) : state;
    },
  });
  const pictures = element("ul", { class: "pictures" });
  const empty = element("p", { class: "hint" });
  let opened = false;
  const draw = button("Draw", () => {
    opened = true;
    place.classList.add("draws");
    live.pad.canvas.focus();
  });
  const ways = wayButtons(app, "", put);
  const place = element(
    "article",
    { class: "card" },
    element("div", { class: "head" }, name, remove),
    element(
      "div",
      { class: "body" },
      live.element,
      element("div", { class: "shown" }, pictures, empty, element("div", { class: "tools" }, draw, ...ways)),
    ),
  );
  takeFiles(app, place, put);
  return { element: place, update };

  function update(one, at) {
    place.dataset.hue = at % HUES;
    // With a model for photographs, a drawing is a picture like others, and its pad opens on request.
    place.classList.toggle("draws", app.drawsFirst || opened);
    if (name.value !== one.name) name.value = one.name;
    const called = one.name || `class ${at + 1}`;
    name.setAttribute("aria-label", `Name of class ${at + 1}`);
    place.setAttribute("aria-label", `Class ${called}`);
    remove.setAttribute("aria-label", `Remove the class ${called}`);
    draw.setAttribute("aria-label", `Draw an image: ${called}`);
    for (const way of ways) way.setAttribute("aria-label", `${way.title}: ${called}`);
    live.pad.name(called);
    live.update(one.pictures);
    pictures.setAttribute("aria-label", `Images of ${called}`);
    keyed(pictures, one.pictures, (picture) => thumbnail(app, picture, (state) => states.removePicture(state, id, picture.id)));
    // A drawing is already on the pad; its thumbnail is useful only to show what the model sees.
    const alone = one.pictures.every((picture) => picture.live && !picture.problem) && !app.seeing && app.drawsFirst;
    pictures.hidden = alone;
    const words = app.drawsFirst ? "No image yet: draw one, or drop files here." : "No image yet: drop some here.";
    say(empty, one.pictures.length ? "" : words);
  }
}

function thumbnail(app, { id }, removed) {
  const canvas = element("canvas", { role: "img" });
  const remove = button("×", () => app.change(removed), { class: "remove" });
  const problem = element("p", { class: "problem" });
  const place = element("li", {}, canvas, remove, problem);
  return {
    element: place,
    update(picture, at) {
      show(canvas, picture, app.model, app.seeing);
      canvas.setAttribute("aria-label", `Image ${at + 1}`);
      remove.setAttribute("aria-label", `Remove image ${at + 1}`);
      say(problem, picture.problem ?? "");
      place.hidden = Boolean(picture.live) && !picture.problem && !app.seeing && app.drawsFirst;
      place.classList.toggle("wrong", Boolean(picture.problem));
    },
  };
}
