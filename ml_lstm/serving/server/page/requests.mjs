/** Requests to the server and the meaning of its errors: bodies, paths and messages, without a network. */

/** Paths of a model; without a version, of its newest one. */
export function modelPath(name, version = null, tail = "") {
  const of = version === null ? "" : `/versions/${version}`;
  return `/v1/models/${encodeURIComponent(name)}${of}${tail}`;
}

export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

const encoded = new WeakMap();

function file(picture) {
  if (!encoded.has(picture.bytes)) encoded.set(picture.bytes, base64(picture.bytes));
  return { b64: encoded.get(picture.bytes) };
}

/** The body of a request for `question(state)`: adapt to the support set and classify the queries. */
export function askBody(asked) {
  const inputs = { ...support(asked), query_images: asked.queries.map(({ picture }) => file(picture)) };
  return JSON.stringify({ signature_name: "adapt_and_predict_encoded", inputs });
}

/** The body of a request for how the model learned the support set. */
export function explainBody(asked) {
  return JSON.stringify({ signature_name: "explain_encoded", inputs: support(asked) });
}

function support(asked) {
  return {
    support_images: asked.support.map(({ picture }) => file(picture)),
    support_labels: asked.support.map(({ label }) => label),
  };
}

/** An error of the server, or no answer at all. `kind` is one of those of `refusal`. */
export class Problem extends Error {
  constructor(kind, words, { retry = null, pictureId = null } = {}) {
    super(words);
    Object.assign(this, { kind, retry, pictureId });
  }
}

/**
 * Converts an error of the server to a message for the user.
 *
 * @param status the HTTP status.
 * @param error the server's message.
 * @param retryAfter the header, or null.
 * @param asked what was sent.
 * @param selected the id of the selected query.
 * @returns a `Problem`: "busy" and "down" are temporary, "large" and "picture" concern a picture, "missing" concerns the
 *   model or its version, "refused" is anything else.
 */
export function refusal(status, error, retryAfter, asked, selected) {
  if (status === 429) {
    const retry = Math.max(Number(retryAfter) || 1, 0.2);
    const words = `The server is busy. The page tries this image again in ${retry} s.`;
    return new Problem("busy", words, { retry, pictureId: selected });
  }
  if (status === 413) {
    const most = /takes at most (\d+)/.exec(error)?.[1];
    const limit = most ? ` (${inBytes(Number(most))})` : "";
    const words = `Together, the images are too large for the server${limit}. This one is the largest: remove it, or others.`;
    return new Problem("large", words, { pictureId: largest(asked) });
  }
  if (status === 404) return new Problem("missing", error);
  if (status === 503) return new Problem("down", "The server is not ready.", { retry: 2 });
  if (status === 504) return new Problem("refused", "The server took too long: use fewer images at once.");
  const where = /(support|query)_images: the image at index (\d+) (.*)/s.exec(error);
  if (where) {
    const list = where[1] === "support" ? asked.support : asked.queries;
    return new Problem("picture", `The model cannot read this image: it ${where[3]}`, {
      pictureId: list[Number(where[2])]?.id ?? null,
    });
  }
  return new Problem("refused", error || `The server answered with the error ${status}.`);
}

function largest(asked) {
  const all = [...asked.support, ...asked.queries];
  return all.reduce((most, one) => (one.picture.bytes.length > most.picture.bytes.length ? one : most)).id;
}

export function inBytes(number) {
  if (number >= 1024 ** 2) return `${Math.round(number / 1024 ** 2)} MB`;
  return number >= 1024 ? `${Math.round(number / 1024)} KB` : `${number} bytes`;
}

/**
 * Sends one request.
 *
 * @param fetcher `fetch`, or a replacement.
 * @returns `outputs` of the answer.
 * @throws {Problem} if the server answers with an error or not at all; the error of `fetcher` if it is aborted.
 */
export async function post(fetcher, path, body, signal, asked, selected) {
  let response, answer;
  try {
    response = await fetcher(path, { method: "POST", body, signal, headers: { "Content-Type": "application/json" } });
    answer = await response.json();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem("down", "The server does not answer. Nothing is lost: the page tries again.", { retry: 2 });
  }
  if (response.ok) return answer.outputs;
  throw refusal(response.status, answer.error, response.headers.get("Retry-After"), asked, selected);
}

/**
 * Sends a new request after changes, so that there are not more requests than answers: waits a moment for further
 * changes, cancels the older request, and retries after temporary errors.
 *
 * @param send `async (signal) => answer`; throws a `Problem`.
 * @param heard `{thinking(), answer(answer, milliseconds), problem(problem)}`.
 */
export class Asker {
  #send;
  #heard;
  #timer = null;
  #running = null;
  #again = false;

  constructor(send, heard) {
    this.#send = send;
    this.#heard = heard;
  }

  /**
   * Asks after a change.
   *
   * @param wait milliseconds to wait for further changes.
   * @param live true while a pen moves: then a running request is finished first; otherwise there would be no answer
   *   until the pen stops.
   */
  ask({ wait = 120, live = false } = {}) {
    if (live && this.#running) {
      this.#again = true;
    } else if (!live || this.#timer === null) {
      this.stop();
      this.#timer = setTimeout(() => this.#run(), live ? Math.min(wait, 40) : wait);
    }
  }

  /** Whether a request is running or due, so that the last answer is out of date. */
  get busy() {
    return this.#timer !== null || this.#running !== null;
  }

  /** Cancels the request that is running or due. */
  stop() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    this.#timer = this.#running = null;
    this.#again = false;
  }

  async #run() {
    this.#timer = null;
    const mine = (this.#running = new AbortController());
    this.#heard.thinking();
    const begun = performance.now();
    let told;
    try {
      const answer = await this.#send(mine.signal);
      told = () => this.#heard.answer(answer, performance.now() - begun);
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem("refused", String(error));
      told = () => this.#heard.problem(problem);
      if (problem.retry !== null && !mine.signal.aborted) {
        this.#timer = setTimeout(() => this.#run(), 1000 * problem.retry);
      }
    }
    if (mine.signal.aborted) return;
    this.#running = null;
    // First, so that the receiver of the answer sees that it is not the last one.
    if (this.#again) this.ask({ live: true });
    this.#again = false;
    told();
  }
}
