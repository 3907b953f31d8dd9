/**
 * What the page holds: classes with their pictures, what is asked, and what was marked. Without a browser: each function
 * takes a state and returns a new one.
 *
 * A picture is `{id, bytes, type, width, height, name, problem}`; the page's own parts keep more in it. A query is
 * `{id, picture, answer, mark}`, its answer `{scores: [{id, probability}], familiarity}` by class, in the order of the cards.
 */

/** Takes the place of a class for a picture of none of them. */
export const NONE = "none";

/** A familiarity below it says that a picture is of none of the classes (docs/zoo.md). */
export const FAMILIAR = 0.05;

export function emptyState() {
  return { classes: [], queries: [], selected: null, marks: [], nextId: 1 };
}

/** Adds a class; its id is that of the last one then. */
export function addClass(state, name) {
  const words = name ?? freeName(state);
  const added = { id: state.nextId, name: words, pictures: [] };
  return { ...state, classes: [...state.classes, added], nextId: state.nextId + 1 };
}

function freeName(state) {
  const taken = new Set(state.classes.map((one) => one.name));
  let number = state.classes.length + 1;
  while (taken.has(`Class ${number}`)) number += 1;
  return `Class ${number}`;
}

export function renameClass(state, id, name) {
  return withClass(state, id, (one) => ({ ...one, name }));
}

/** Removes a class, and what was marked as of it. */
export function removeClass(state, id) {
  const marks = state.marks.filter((mark) => mark.truth !== id && mark.predicted !== id);
  const queries = state.queries.map((query) => ({
    ...query,
    mark: query.mark === id ? null : query.mark,
    answer: query.answer && without(query.answer, id),
  }));
  return { ...state, marks, queries, classes: state.classes.filter((one) => one.id !== id) };
}

function without(answer, id) {
  const scores = answer.scores.filter((score) => score.id !== id);
  return scores.length < 2 ? null : { ...answer, scores };
}

/** Puts a picture into a class, in place of one with its id; one without an id gets the next. */
export function putPicture(state, classId, picture) {
  const [after, known] = identified(state, picture);
  return withClass(after, classId, (one) => ({ ...one, pictures: put(one.pictures, known) }));
}

/** Puts the same picture, prepared for another model, in the place of one, of a class or asked about, if that is there still. */
export function replacePicture(state, before, after) {
  return eachPicture(state, (picture) => (picture.bytes === before.bytes ? { ...picture, ...after } : picture));
}

export function removePicture(state, classId, pictureId) {
  return withClass(state, classId, (one) => ({
    ...one,
    pictures: one.pictures.filter((picture) => picture.id !== pictureId),
  }));
}

/** Asks about a picture and selects it; a picture with the id of one that is asked about takes its place. */
export function putQuery(state, picture) {
  const [after, known] = identified(state, picture);
  const old = state.queries.find((query) => query.id === known.id);
  const query = { id: known.id, answer: old?.answer ?? null, mark: null, picture: known };
  return { ...after, queries: put(state.queries, query), selected: known.id };
}

export function removeQuery(state, id) {
  const at = state.queries.findIndex((query) => query.id === id);
  const queries = state.queries.filter((query) => query.id !== id);
  const beside = queries[Math.min(at, queries.length - 1)]?.id ?? null;
  return { ...state, queries, selected: state.selected === id ? beside : state.selected };
}

export function select(state, id) {
  return { ...state, selected: id };
}

/** Everything new but the counter: pictures that are still being read must not meet others of their number. */
export function cleared(state) {
  return { ...emptyState(), nextId: state.nextId };
}

/**
 * Takes in the server's answer.
 *
 * @param asked what was sent, see `question`.
 * @param outputs `{classes, probabilities, familiarity?}` as the server gave them, classes by `label`.
 */
export function answered(state, asked, outputs) {
  const ids = outputs.classes.map(Number);
  const answers = new Map(
    asked.queries.map((query, row) => [
      query.id,
      {
        scores: inOrderOfCards(state, ids, outputs.probabilities[row]),
        familiarity: outputs.familiarity?.[row] ?? null,
      },
    ]),
  );
  const queries = state.queries.map((query) =>
    answers.has(query.id) ? { ...query, answer: answers.get(query.id) } : query,
  );
  return withoutProblems({ ...state, queries });
}

function inOrderOfCards(state, ids, probabilities) {
  const byId = new Map(ids.map((id, column) => [id, probabilities[column]]));
  return state.classes
    .filter((one) => byId.has(one.id))
    .map((one) => ({ id: one.id, probability: byId.get(one.id) }));
}

/** Says at a picture, of a class or asked about, what is wrong with it. */
export function withProblem(state, pictureId, problem) {
  return eachPicture(state, (picture) => (picture.id === pictureId ? { ...picture, problem } : picture));
}

export function withoutProblems(state) {
  return eachPicture(state, (picture) => (picture.problem ? { ...picture, problem: null } : picture));
}

/** The class that an answer is for, or `NONE`. */
export function predicted(answer) {
  if (answer.familiarity !== null && answer.familiarity < FAMILIAR) return NONE;
  return likeliest(answer).id;
}

export function likeliest(answer) {
  return answer.scores.reduce((best, score) => (score.probability > best.probability ? score : best));
}

/** Notes what a query really is, a class's id or `NONE`, beside what was answered just then. */
export function mark(state, queryId, truth) {
  const query = state.queries.find((one) => one.id === queryId);
  if (!query?.answer) return state;
  const noted = { query: queryId, truth, predicted: predicted(query.answer) };
  const queries = state.queries.map((one) => (one.id === queryId ? { ...one, mark: truth } : one));
  return { ...state, queries, marks: [...state.marks.filter((one) => one.query !== queryId), noted] };
}

export function unmarkAll(state) {
  return { ...state, marks: [], queries: state.queries.map((query) => ({ ...query, mark: null })) };
}

/** Classes that take part: those with a picture. */
export function usable(state) {
  return state.classes.filter((one) => one.pictures.length > 0);
}

/**
 * What keeps the page from asking, in words; null where nothing does.
 *
 * @param mostClasses that the model tells apart; null for any number.
 */
export function lacking(state, mostClasses) {
  const classes = usable(state);
  if (mostClasses !== null && classes.length > mostClasses) {
    return `This model tells at most ${mostClasses} classes apart, and ${classes.length} have pictures: remove ${classes.length - mostClasses}.`;
  }
  if (classes.length < 2) {
    const idle = state.classes.length - classes.length;
    if (classes.length + idle < 2) return "It takes two classes to choose between: add one.";
    const more = 2 - classes.length;
    return `Give ${more === 2 ? "two classes" : "another class"} a picture: it takes two to choose between.`;
  }
  if (!state.queries.length) return "Ready. Ask about a picture.";
  return null;
}

/** What a request is to hold, as ids and pictures: labels are the classes' ids, as names may be empty or alike. */
export function question(state) {
  const support = usable(state).flatMap((one) =>
    one.pictures.map((picture) => ({ id: picture.id, label: String(one.id), picture })),
  );
  return { support, queries: state.queries.map(({ id, picture }) => ({ id, picture })) };
}

function withClass(state, id, change) {
  return { ...state, classes: state.classes.map((one) => (one.id === id ? change(one) : one)) };
}

function identified(state, picture) {
  if (picture.id) return [state, picture];
  return [{ ...state, nextId: state.nextId + 1 }, { ...picture, id: state.nextId }];
}

function put(list, item) {
  const there = list.some((one) => one.id === item.id);
  return there ? list.map((one) => (one.id === item.id ? item : one)) : [...list, item];
}

function eachPicture(state, change) {
  return {
    ...state,
    classes: state.classes.map((one) => ({ ...one, pictures: one.pictures.map(change) })),
    queries: state.queries.map((query) => ({ ...query, picture: change(query.picture) })),
  };
}
