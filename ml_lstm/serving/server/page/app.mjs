/** The page's core: its state, its model, and the requests that follow from changes. */

import { modelOf, versionsOf } from "./card.mjs";
import { prepared } from "./raster.mjs";
import { Asker, Problem, askBody, explainBody, modelPath, post } from "./requests.mjs";
import * as states from "./state.mjs";
import { learnsDrawings, penFor } from "./strokes.mjs";

const LOOK_EVERY = 5000; // milliseconds, for new versions
const THINKING = { kind: "thinking", words: "Thinking…" };

export class App {
  state = states.emptyState();
  model = null;
  models = [];
  pen = penFor(null);
  seeing = false;
  notice = "";
  problem = null;
  explanation = null;
  explaining = false;
  #render;
  fixed = null; // the version that was chosen, unless it is the newest
  #said = { kind: "wait", words: "Looking for models…" };
  #underWay = 0;
  #turn = Promise.resolve();
  #asker;
  #explainer;

  constructor(render) {
    this.#render = render;
    const send = (signal) => this.#ask(signal);
    this.#asker = new Asker(send, {
      thinking: () => this.#say(THINKING),
      answer: (answer, milliseconds) => this.#answered(answer, milliseconds),
      problem: (problem) => this.#failed(problem),
    });
    this.#explainer = new Asker((signal) => this.#explain(signal), {
      thinking: () => {},
      answer: (explanation) => this.#set({ explanation }),
      problem: (problem) => problem.kind === "down" || this.#set({ explanation: { problem: problem.message } }),
    });
  }

  /**
   * `{kind, words}`, kind: "wait", "thinking", "answered", "problem". It is "answered" only while the answers shown are from
   * this model for these pictures: not while a picture is being read, or another answer is due.
   */
  get status() {
    const moves = this.#underWay > 0 || this.#asker.busy;
    return this.#said.kind === "answered" && moves ? THINKING : this.#said;
  }

  /** Whether a new explanation is due, so that the one shown is out of date. */
  get learning() {
    return this.explaining && Boolean(this.model?.explains) && (this.#underWay > 0 || this.#explainer.busy);
  }

  get drawsFirst() {
    return learnsDrawings(this.model?.card);
  }

  /** Finds the server's models, and then checks regularly for models and new versions. */
  async start() {
    await this.look();
    setInterval(() => document.hidden || this.look(), LOOK_EVERY);
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
  }

  /**
   * Changes the state.
   *
   * @param step function from a state to the next one.
   * @param ask options of `Asker.ask`, or null if no answer depends on the change.
   */
  change(step, ask = {}) {
    this.state = step(this.state);
    if (ask) this.#want(ask);
    this.#render(this);
  }

  /** Awaits work that ends in a change, such as reading a picture. */
  async during(work) {
    this.#underWay += 1;
    this.#render(this);
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
      this.#render(this);
    }
  }

  #set(changes) {
    Object.assign(this, changes);
    this.#render(this);
  }

  #say(said) {
    this.#said = said;
    this.#render(this);
  }

  /** Shows a notice that is not an answer: for example, that a file is not a picture. */
  tell(notice) {
    this.#set({ notice });
  }

  #want(ask) {
    const lacks = this.model ? states.lacking(this.state, this.model.mostClasses) : "Looking for models…";
    this.problem = null;
    if (lacks) {
      this.#asker.stop();
      this.#said = { kind: "wait", words: lacks };
    } else {
      this.#said = THINKING;
      this.#asker.ask(ask);
    }
    this.#wantExplanation();
  }

  /** Whether "How it learned" is open. */
  explain(open) {
    this.explaining = open;
    this.#wantExplanation();
    this.#render(this);
  }

  #wantExplanation() {
    const ready = this.model?.explains && states.usable(this.state).length > 1;
    if (!ready) {
      this.#explainer.stop();
      this.explanation = null;
    } else if (this.explaining) this.#explainer.ask({ wait: 400 });
  }

  get #path() {
    return modelPath(this.model.name, this.fixed, ":predict");
  }

  /** The URL of requests, for use outside the page. */
  get url() {
    return this.model ? new URL(this.#path, location.href).href : "";
  }

  async #ask(signal) {
    const asked = states.question(this.state);
    const outputs = await post(fetch.bind(window), this.#path, askBody(asked), signal, asked, this.state.selected);
    return { asked, outputs };
  }

  async #explain(signal) {
    const asked = states.question(this.state);
    return post(fetch.bind(window), this.#path, explainBody(asked), signal, asked, null);
  }

  #answered({ asked, outputs }, milliseconds) {
    this.state = states.answered(this.state, asked, outputs);
    const [pictures, classes] = [asked.support.length, new Set(asked.support.map((one) => one.label)).size];
    const words = `Learned ${classes} classes from ${pictures} images and answered in ${Math.round(milliseconds)} ms`;
    this.notice = this.problem?.kind === "down" ? "" : this.notice;
    this.problem = null;
    this.#say({ kind: "answered", words });
  }

  #failed(problem) {
    if (problem.kind === "missing") return void this.#versionGone();
    this.state = states.withoutProblems(this.state);
    if (problem.pictureId) this.state = states.withProblem(this.state, problem.pictureId, problem.message);
    this.problem = problem;
    this.#say({ kind: "problem", words: problem.message });
  }

  async #versionGone() {
    if (this.fixed !== null) this.notice = `Version ${this.fixed} is no longer available: the newest one answers now.`;
    this.fixed = null;
    await this.look();
    if (this.model) this.#want({});
  }

  /** Checks what the server has; switches to a newer version of the model. */
  look() {
    return this.#inTurn(() => this.#look());
  }

  /** Runs changes of the model one after the other, so that the last choice wins even if the server answers late. */
  #inTurn(work) {
    this.#turn = this.#turn.then(work, work);
    return this.#turn;
  }

  async #look() {
    let models;
    try {
      models = (await got("/v1/models")).models.filter((one) => versionsOf(one).length);
      if (!models.length) throw new Problem("down", "The server has no model that is ready.");
      const mine = models.find((one) => one.name === this.model?.name) ?? models[0];
      const wanted = this.fixed ?? versionsOf(mine)[0];
      this.models = models;
      if (this.model?.name !== mine.name || this.model.version !== wanted) {
        await this.during(() => this.#take(mine.name, this.fixed));
      } else if (this.#said.lost) this.#want({ wait: 0 });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      const words = `${error.message} Nothing is lost: the page tries again.`;
      this.#said = { kind: "problem", words, lost: true };
    }
    this.#render(this);
  }

  /** Chooses a model, and a version; without a version, always the newest. */
  choose(name, version = null) {
    const take = async () => {
      try {
        await this.#take(name, version);
      } catch (error) {
        this.notice = error.message;
      }
    };
    return this.during(() => this.#inTurn(take));
  }

  async #take(name, version) {
    const before = this.model;
    const model = modelOf(await got(modelPath(name, version, "/metadata")));
    if (before?.name === name && version === null && this.fixed === null) {
      this.notice = `Version ${model.version} has replaced version ${before.version} and answers from now on.`;
    } else this.notice = "";
    this.fixed = version;
    this.model = model;
    this.pen = penFor(model.card);
    if (!model.adapts) {
      this.#asker.stop();
      this.#said = { kind: "problem", words: "This model was not exported by ml_lstm: it cannot adapt to images." };
      return;
    }
    if (before && this.#looksDifferent(before)) await this.#prepareAnew();
    if (!before && !this.state.classes.length) this.state = [1, 2].reduce((state) => states.addClass(state), this.state);
    this.#want({ wait: 0 });
  }

  #looksDifferent(before) {
    return before.side !== this.model.side || penFor(before.card) !== this.pen;
  }

  async #prepareAnew() {
    const { classes, queries } = this.state;
    for (const picture of [...classes.flatMap((one) => one.pictures), ...queries.map((query) => query.picture)]) {
      this.state = states.replacePicture(this.state, picture, await this.prepared(picture.source));
    }
  }

  /** Prepares a picture for the current model; starts again if another model is chosen meanwhile. */
  async prepared(source) {
    const { model, pen } = this;
    const picture = await prepared(source, model, pen);
    return model === this.model ? picture : this.prepared(source);
  }
}

async function got(path) {
  let response;
  try {
    response = await fetch(path);
  } catch {
    throw new Problem("down", "The server does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem("down", answer.error ?? `The server answered with the error ${response.status}.`);
  return answer;
}
