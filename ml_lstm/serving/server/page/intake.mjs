/** Input of files: choosing, dropping, pasting, folders of class folders. */

/**
 * Groups files by their folder.
 *
 * @param found `{file, folder}`, `folder` its path or "".
 * @returns `[{name, files}]`, sorted by name, with "" for files in no folder; without files that do not look like pictures.
 */
export function grouped(found) {
  const groups = new Map();
  for (const { file, folder } of found) {
    if (file.name.startsWith(".") || !looksLikePicture(file)) continue;
    const name = folder.split("/").filter(Boolean).at(-1) ?? "";
    groups.set(name, [...(groups.get(name) ?? []), file]);
  }
  return [...groups].map(([name, files]) => ({ name, files })).sort((a, b) => a.name.localeCompare(b.name));
}

function looksLikePicture(file) {
  return file.type.startsWith("image/") || /\.(jpe?g|png|bmp|gif|webp|avif|heic)$/i.test(file.name);
}

/** The dropped files, as `{file, folder}`; reads folders. */
export async function dropped(transfer) {
  // Entries are available only until the event ends.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, folder: "" }));
  return (await Promise.all(entries.map((entry) => walked(entry, "")))).flat();
}

async function walked(entry, folder) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ file, folder }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return found.flat();
    found.push(...(await Promise.all(some.map((one) => walked(one, `${folder}/${entry.name}`)))));
  }
}

/** Opens the browser's dialog for files, or for a folder; calls `chosen` with `{file, folder}`. */
export function choose(chosen, { folder = false } = {}) {
  const input = Object.assign(document.createElement("input"), {
    type: "file",
    multiple: true,
    accept: folder ? "" : "image/*",
    webkitdirectory: folder,
  });
  input.addEventListener("change", () =>
    chosen(
      [...input.files].map((file) => ({
        file,
        folder: (file.webkitRelativePath ?? "").split("/").slice(0, -1).join("/"),
      })),
    ),
  );
  input.click();
}

/** Accepts drops on an element: calls `taken` with a promise of `dropped`; the class "over" marks a possible drop. */
export function acceptDrops(place, taken) {
  let depth = 0;
  const over = (more) => {
    depth = Math.max(0, depth + more);
    place.classList.toggle("over", depth > 0);
  };
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  place.addEventListener("dragenter", (event) => hasFiles(event) && over(1));
  place.addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
  place.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    for (const other of document.querySelectorAll(".over")) other.classList.remove("over");
    depth = 0;
    taken(dropped(event.dataTransfer));
  });
}

/** Pictures on the clipboard, for a button; the browser may ask the user first. */
export async function pasted() {
  if (!navigator.clipboard?.read) throw new Error("This browser does not let buttons read the clipboard: press Ctrl+V here.");
  const blobs = [];
  for (const item of await navigator.clipboard.read()) {
    const type = item.types.find((one) => one.startsWith("image/"));
    if (type) blobs.push(await item.getType(type));
  }
  if (!blobs.length) throw new Error("There is no image on the clipboard.");
  return blobs;
}
