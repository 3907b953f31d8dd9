/** "How it learned": charts of the answer of `explain_encoded`. */

import { gateChart, inWords, lossChart } from "./charts.mjs";
import { byId, element, svg } from "./dom.mjs";

const SIZE = [285, 170]; // about the width of each of three charts in a row, so that text keeps its size
const SOON = { hint: "Thinking…" };
const LACKS = { hint: "Add two classes with images: then this shows how the model learns them." };

/** Sets up this section, which is closed at first; returns a function that shows a new state. */
export function learnedView(app) {
  const place = byId("learned");
  const inside = place.querySelector(".inside");
  let shown = null;
  place.addEventListener("toggle", () => app.explain(place.open));
  return () => {
    place.hidden = Boolean(app.model) && !app.model.explains;
    inside.setAttribute("aria-busy", app.learning);
    inside.classList.toggle("stale", app.learning);
    const now = app.explanation ?? (app.learning ? SOON : LACKS);
    if (now === shown) return;
    shown = now;
    inside.replaceChildren(...contents(now));
  };
}

function contents(explanation) {
  if (explanation.hint) return [element("p", { class: "hint", text: explanation.hint })];
  if (explanation.problem) return [element("p", { class: "problem", text: explanation.problem })];
  const { losses, layers, input_gates: input, forget_gates: forget } = explanation;
  const drawn = [["Loss on your images", "inner step", lossChart(losses, ...SIZE)]];
  if (input) {
    const steps = input.length > 1 ? "layer, steps from left to right" : "layer";
    drawn.push(["Input gate: step size", steps, gateChart(input, layers, ...SIZE)]);
    drawn.push(["Forget gate: share kept", steps, gateChart(forget, layers, ...SIZE)]);
  }
  const charts = drawn.filter(([, , chart]) => chart).map(([title, below, chart]) => figure(title, below, chart));
  return [element("p", { text: inWords(explanation) }), element("div", { class: "charts" }, ...charts)];
}

function figure(title, below, chart) {
  const { width, height, left, right, bottom, xTicks, yTicks, groups } = chart;
  const words = groups.flat().map((point) => point.text).join("; ");
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${words}.` },
    ...yTicks.map(({ y, text }) =>
      svg(
        "g",
        {},
        svg("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }),
        svg("text", { x: left - 6, y: y + 4, "text-anchor": "end", text }),
      ),
    ),
    ...xTicks.map(({ x, text }) => svg("text", { x, y: bottom + 17, "text-anchor": "middle", text })),
    ...groups.map((points) => svg("polyline", { points: points.map(({ x, y }) => `${x},${y}`).join(" "), class: "line" })),
    ...groups.flat().map(({ x, y, text }) => svg("circle", { cx: x, cy: y, r: 3.5, class: "dot" }, svg("title", { text }))),
  );
  return element("figure", {}, element("figcaption", { text: title }), drawing, element("p", { class: "hint", text: below }));
}
