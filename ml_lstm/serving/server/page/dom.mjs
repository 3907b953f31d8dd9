/** Creates elements; text is always text, never HTML. */

/**
 * Creates an element.
 *
 * @param attributes `class`, `text`, `on: {event: listener}`, properties of the element (`disabled`, `value`), or
 *   attributes (`aria-label`); null and undefined ones are left out.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name === "text") made.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function button(text, click, attributes = {}) {
  return element("button", { type: "button", text, on: { click }, ...attributes });
}

export const byId = (id) => document.getElementById(id);

/** Sets text only if it is new: otherwise a screen reader would read it again. */
export function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

const kept = new WeakMap();

/**
 * Makes a parent's children match the items; existing children are kept, with focus and drawings.
 *
 * @param items with an `id` each.
 * @param make `(item) => {element, update(item, index)}`.
 */
export function keyed(parent, items, make) {
  const before = kept.get(parent) ?? new Map();
  const now = new Map(items.map((item) => [item.id, before.get(item.id) ?? make(item)]));
  kept.set(parent, now);
  for (const [id, view] of before) if (!now.has(id)) view.element.remove();
  let at = parent.firstElementChild;
  items.forEach((item, index) => {
    const view = now.get(item.id);
    if (view.element === at) at = at.nextElementSibling;
    else parent.insertBefore(view.element, at);
    view.update(item, index);
  });
}

/** Creates an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
