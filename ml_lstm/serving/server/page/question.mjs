/** "What is this?": the queries, the answer, and whether it was right. */

import { percent } from "./card.mjs";
import { hue } from "./classes.mjs";
import { button, byId, element, keyed, say } from "./dom.mjs";
import { show } from "./raster.mjs";
import { LivePad, takeFiles, wayButtons } from "./sources.mjs";
import * as states from "./state.mjs";
import { confusion, tally } from "./tally.mjs";

const NONE_OF_THESE = "None of these";

/** Sets up the question's side; returns a function that shows a new state. */
export function questionView(app) {
  const live = new LivePad(app, "what is this?", {
    put: states.putQuery,
    remove: states.removeQuery,
    newest: (state) => state.queries.at(-1).id,
    keep: (state, id) => {
      const kept = state.queries.find((query) => query.id === id);
      return kept ? withPicture(state, id, { ...kept.picture, live: false }) : state;
    },
  });
  const ask = byId("ask");
  let opened = false;
  const draw = button("Draw", () => {
    opened = true;
    byId("question").classList.add("draws");
    live.pad.canvas.focus();
  });
  const ways = wayButtons(app, "what is this?", states.putQuery);
  const hint = element("p", { class: "hint" });
  byId("question").querySelector(".head").append(element("div", { class: "tools" }, draw, ...ways));
  ask.append(live.element, hint);
  takeFiles(app, byId("question"), states.putQuery);
  const answer = answerView(app);
  const marks = tallyView(app);
  return () => {
    byId("question").classList.toggle("draws", app.drawsFirst || opened);
    say(hint, app.drawsFirst ? "It answers while you draw. You can also drop images here." : "Drop images here.");
    live.update(app.state.queries.map((query) => query.picture));
    keyed(byId("queries"), app.state.queries, (query) => thumbnail(app, query));
    byId("queries").hidden = !app.state.queries.length;
    byId("queries").classList.toggle("stale", app.status.kind !== "answered");
    answer();
    marks();
  };
}

function withPicture(state, id, picture) {
  return { ...state, queries: state.queries.map((query) => (query.id === id ? { ...query, picture } : query)) };
}

function nameOf(app, id) {
  if (id === states.NONE) return NONE_OF_THESE;
  const at = app.state.classes.findIndex((one) => one.id === id);
  return app.state.classes[at]?.name || `class ${at + 1}`;
}

function thumbnail(app, { id }) {
  const canvas = element("canvas");
  const words = element("span");
  const choose = button("", () => app.change((state) => states.select(state, id), null), { class: "query" });
  choose.replaceChildren(canvas, words);
  const remove = button("×", () => app.change((state) => states.removeQuery(state, id)), { class: "remove" });
  const problem = element("p", { class: "problem" });
  const place = element("li", {}, choose, remove, problem);
  return {
    element: place,
    update(query, at) {
      show(canvas, query.picture, app.model, app.seeing);
      const found = query.answer ? states.predicted(query.answer) : null;
      words.textContent = found === null ? "…" : nameOf(app, found);
      place.dataset.hue = found === null || found === states.NONE ? "" : hue(app.state, found);
      choose.setAttribute("aria-label", `Image ${at + 1}: ${found === null ? "no answer yet" : nameOf(app, found)}`);
      choose.setAttribute("aria-pressed", app.state.selected === id);
      remove.setAttribute("aria-label", `Remove image to classify ${at + 1}`);
      say(problem, query.picture.problem ?? "");
      place.classList.toggle("wrong", Boolean(query.picture.problem));
    },
  };
}

/** The selected query's answer: its name, bars, and the marks. */
function answerView(app) {
  const headline = element("p", { class: "headline" });
  const bars = element("ul", { class: "bars", "aria-label": "How likely each class is" });
  const note = element("p", { class: "hint" });
  const right = button("Right", () => marked(states.predicted(selected().answer)), { title: "Mark this answer right" });
  const truth = element("select", { on: { change: () => truth.value && marked(idOf(truth.value)) } });
  const marking = element("div", { class: "tools marking" }, right, element("label", { text: "Wrong, it is " }, truth));
  const place = byId("answer");
  place.append(headline, bars, note, marking);
  const selected = () => app.state.queries.find((query) => query.id === app.state.selected);
  const idOf = (value) => (value === states.NONE ? states.NONE : Number(value));
  const marked = (id) => app.change((state) => states.mark(state, state.selected, id), null);

  return () => {
    const { kind, words } = app.status;
    say(byId("status"), words);
    byId("status").dataset.kind = kind;
    place.setAttribute("aria-busy", kind === "thinking");
    place.classList.toggle("stale", kind !== "answered");
    // An out-of-date answer is not announced and cannot be marked.
    right.disabled = truth.disabled = kind === "thinking";
    const query = selected();
    place.hidden = !query?.answer;
    announce(kind === "answered" && query?.answer ? inWords(app, query.answer) : "");
    if (!query?.answer) return;
    const found = states.predicted(query.answer);
    const best = states.likeliest(query.answer);
    headline.textContent = nameOf(app, found);
    headline.dataset.hue = found === states.NONE ? "" : hue(app.state, found);
    keyed(bars, rows(app, query.answer, found), bar);
    note.textContent = strangeness(app, query.answer, best);
    choices(query, found);
  };

  function choices(query, found) {
    right.setAttribute("aria-pressed", query.mark !== null && query.mark === found);
    const others = [...app.state.classes.map((one) => one.id), states.NONE].filter((id) => id !== found);
    truth.replaceChildren(
      element("option", { value: "", text: "choose…" }),
      ...others.map((id) => element("option", { value: id, text: nameOf(app, id) })),
    );
    truth.value = query.mark !== null && query.mark !== found ? query.mark : "";
  }
}

function inWords(app, answer) {
  const found = states.predicted(answer);
  if (found === states.NONE) return `Answer: ${NONE_OF_THESE}`;
  return `Answer: ${nameOf(app, found)}, ${percent(states.likeliest(answer).probability)}`;
}

/** Sets the text for screen readers; never hidden, because they may miss changes in a hidden element. */
function announce(words) {
  if (byId("spoken").textContent !== words) byId("spoken").textContent = words;
}

function rows(app, answer, found) {
  const classes = answer.scores.map(({ id, probability }) => ({
    id,
    name: nameOf(app, id),
    hue: hue(app.state, id),
    share: probability,
    text: percent(probability),
    best: id === found,
  }));
  if (answer.familiarity === null) return classes;
  const is = found === states.NONE;
  return [...classes, { id: states.NONE, name: NONE_OF_THESE, hue: "", share: 0, text: is ? "likely" : "unlikely", best: is }];
}

function bar() {
  const [name, text] = [element("span", { class: "name" }), element("span", { class: "share" })];
  const filled = element("span");
  const place = element("li", {}, name, element("span", { class: "track" }, filled), text);
  return {
    element: place,
    update(row) {
      name.textContent = row.name;
      text.textContent = row.text;
      place.dataset.hue = row.hue;
      place.classList.toggle("best", row.best);
      filled.style.width = `${100 * row.share}%`;
    },
  };
}

function strangeness(app, { familiarity }, best) {
  if (familiarity === null) return "This model always chooses one of the classes.";
  const share = familiarity < 0.01 ? "fewer than 1 %" : percent(familiarity);
  const words = `Of images that belong to a class, ${share} look at least as unusual as this one.`;
  if (familiarity >= states.FAMILIAR) return words;
  return `${words} The closest class is ${nameOf(app, best.id)}.`;
}

function tallyView(app) {
  const place = byId("tally");
  const words = element("span");
  const again = button("Start over", () => app.change(states.unmarkAll, null), { title: "Forget all marks" });
  const table = element("table");
  const scroll = element("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Confusion matrix" }, table);
  place.append(
    element("p", { class: "tools" }, words, again),
    element("details", {}, element("summary", { text: "Confusion matrix" }), scroll),
  );
  return () => {
    const { marks, classes } = app.state;
    place.hidden = !marks.length;
    if (!marks.length) return;
    const { right, all } = tally(marks);
    words.textContent = `${right} of ${all} right (${percent(right / all)})`;
    const named = classes.map((one) => ({ ...one, name: nameOf(app, one.id) }));
    const { rows, columns } = confusion(marks, named);
    const head = (text, scope) => element("th", { text, scope });
    table.replaceChildren(
      element("caption", { text: "Rows: what it is. Columns: what was answered." }),
      element("tr", {}, element("td"), ...columns.map(({ name }) => head(name, "col"))),
      ...rows.map(({ name, counts }, at) =>
        element(
          "tr",
          {},
          head(name, "row"),
          ...counts.map((count, column) => element("td", { text: String(count), class: column === at ? "hit" : count ? "miss" : "" })),
        ),
      ),
    );
  };
}
