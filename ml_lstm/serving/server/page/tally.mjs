/** Counts of the answers marked right and wrong. */

import { NONE } from "./state.mjs";

/** `{right, all}` of the marks. */
export function tally(marks) {
  return { right: marks.filter((mark) => mark.truth === mark.predicted).length, all: marks.length };
}

/**
 * The confusion matrix of the marks.
 *
 * @param classes `{id, name}`.
 * @returns `{rows: [{id, name, counts}], columns: [{id, name}]}`: rows are true classes, columns predicted ones; they
 *   include "none of these" if a mark has it.
 */
export function confusion(marks, classes) {
  const used = new Set(marks.flatMap((mark) => [mark.truth, mark.predicted]));
  const columns = classes.filter((one) => used.has(one.id)).map(({ id, name }) => ({ id, name }));
  if (used.has(NONE)) columns.push({ id: NONE, name: "None of these" });
  const count = (truth, taken) => marks.filter((one) => one.truth === truth && one.predicted === taken).length;
  const rows = columns.map(({ id, name }) => ({ id, name, counts: columns.map((column) => count(id, column.id)) }));
  return { rows, columns };
}
