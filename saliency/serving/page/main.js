// The page: photos come in, wait for the server two at a time, and are shown as the settings say.

import {Card} from "./card.js";
import {limits} from "./server.js";
import {unlike, zip} from "./zip.js";

const AT_ONCE = 2;
const form = document.querySelector("#settings");
const list = document.querySelector("#cards");
const results = document.querySelector("#results");
const status = document.querySelector("#status");
const all = document.querySelector("#download-all");
let cards = [], waiting = [], working = 0, picture = null, bounds = {max_bytes: Infinity};

function settings() {
  const {view, edges, quality, background: kind} = Object.fromEntries(new FormData(form));
  return {view, edges, quality, background: {kind, colour: form.querySelector("#colour").value, picture}};
}

function add(files) {
  const added = [...files].map((file) => new Card(file, settings, changed));
  for (const card of added) {
    card.part("remove").addEventListener("click", () => remove(card));
    card.part("download").addEventListener("click", async () => save(await card.result()));
    list.append(card.element);
    if (card.file.size > bounds.max_bytes) refuse(card);
    else waiting.push(card);
  }
  cards.push(...added);
  refresh();
  next();
}

function refuse(card) {
  card.failed = true;
  card.part("wait").textContent = "";
  card.part("error").textContent = `Larger than ${bounds.max_bytes / 1e6} MB.`;
  card.part("error").hidden = false;
}

async function next() {
  if (working >= AT_ONCE || waiting.length === 0) return;
  const card = waiting.shift();
  working++;
  next();
  await card.work();
  working--;
  next();
}

function again(those) {
  for (const card of those) {
    card.prepare();
    if (!waiting.includes(card)) waiting.push(card);
  }
  refresh();
  next();
}

function changed(card, what) {
  if (what === "again") {
    again([card]);
    return;
  }
  const done = cards.filter((each) => each.done).length;
  const doubt = what === "done" && !card.part("warning").hidden ? ", with low confidence" : "";
  status.textContent = what === "failed"
    ? `${card.name} failed: ${card.part("error").textContent}`
    : `${card.name} is cut out${doubt}. ${done} of ${cards.length} done.`;
  refresh();
}

function remove(card) {
  const place = cards.indexOf(card);
  cards = cards.filter((each) => each !== card);
  waiting = waiting.filter((each) => each !== card);
  card.leave();
  status.textContent = `${card.name} is removed.`;
  refresh();
  const near = cards[Math.min(place, cards.length - 1)];
  (near ? near.part("remove") : document.querySelector("#files")).focus();
}

function refresh() {
  results.hidden = cards.length === 0;
  all.disabled = !cards.some((card) => card.done);
}

function save({name, blob}) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function saveAll() {
  all.disabled = true;
  status.textContent = "Packing …";
  try {
    const files = [];
    for (const card of cards.filter((each) => each.done)) files.push(await card.result());
    const names = unlike(files.map((file) => file.name));
    const blob = await zip(files.map((file, place) => ({name: names[place], blob: file.blob})));
    save({name: "cutouts.zip", blob});
    status.textContent = `${files.length} files are packed.`;
  } catch (error) {
    status.textContent = error.message;
  }
  refresh();
}

function redraw() {
  for (const card of cards) card.show();
}

form.addEventListener("change", async (event) => {
  const {name, id} = event.target;
  if (id === "picture") {
    picture?.close();
    const [file] = event.target.files;
    picture = file ? await createImageBitmap(file).catch(() => null) : null;
    if (file && !picture) status.textContent = "The background is not a picture that this browser reads.";
    if (picture) form.querySelector("[value=picture]").checked = true;
  }
  if (id === "colour") form.querySelector("[value=colour]").checked = true;
  if (name === "edges" || name === "quality") again(cards.filter((card) => card.done || !card.failed));
  else redraw();
});
form.querySelector("#colour").addEventListener("input", redraw);
form.addEventListener("submit", (event) => event.preventDefault());

document.querySelector("#files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // so that the same photo can be chosen again
});
all.addEventListener("click", saveAll);
document.querySelector("#clear").addEventListener("click", () => {
  for (const card of cards) card.leave();
  cards = [];
  waiting = [];
  status.textContent = "All photos are removed.";
  refresh();
  document.querySelector("#files").focus();
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) add(event.clipboardData.files);
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (kind === "dragleave" && event.relatedTarget) return;
    document.body.classList.remove("dragging");
  });
}
document.addEventListener("drop", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  add(event.dataTransfer.files);
});

limits().then((known) => {
  bounds = known;
  document.querySelector("#limits").textContent =
    `At most ${known.max_bytes / 1e6} MB and ${known.max_pixels / 1e6} megapixels each.`;
}).catch(() => {});
