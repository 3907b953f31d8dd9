/** The camera: one press takes a picture; holding the button takes more. */

import { byId, say } from "./dom.mjs";

const EVERY = 300; // milliseconds

/**
 * Opens the camera's dialog.
 *
 * @param taken called with a canvas for each picture taken.
 */
export async function openCamera(taken) {
  const dialog = byId("camera");
  const video = dialog.querySelector("video");
  const [problem, count] = [dialog.querySelector(".problem"), dialog.querySelector(".hint")];
  const take = dialog.querySelector(".take");
  const ended = new AbortController();
  const { signal } = ended;
  let stream = null;
  let timer = null;
  let number = 0;

  const shoot = () => {
    if (!video.videoWidth) return;
    const canvas = Object.assign(document.createElement("canvas"), {
      width: video.videoWidth,
      height: video.videoHeight,
    });
    canvas.getContext("2d").drawImage(video, 0, 0);
    taken(canvas);
    say(count, `${(number += 1)} taken`);
  };
  const hold = () => {
    if (timer !== null) return;
    shoot();
    timer = setInterval(shoot, EVERY);
  };
  const release = () => {
    clearInterval(timer);
    timer = null;
  };
  const isPress = (event) => event.key === " " || event.key === "Enter";
  take.addEventListener("pointerdown", hold, { signal });
  for (const end of ["pointerup", "pointerleave", "pointercancel", "blur"]) take.addEventListener(end, release, { signal });
  take.addEventListener("keydown", (event) => isPress(event) && (event.preventDefault(), hold()), { signal });
  take.addEventListener("keyup", (event) => isPress(event) && release(), { signal });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close(), { signal });
  const end = () => {
    release();
    ended.abort();
    for (const track of stream?.getTracks() ?? []) track.stop();
  };
  dialog.addEventListener("close", end, { signal });

  say(problem, "");
  say(count, "");
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    if (signal.aborted) return end(); // closed while the browser asked
    video.srcObject = stream;
    await video.play();
    take.focus();
  } catch (error) {
    say(problem, `The camera cannot be used: ${error.message || error.name}.`);
  }
}
