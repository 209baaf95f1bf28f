// One photo of the list: what it shows, and what can be done with it.

import {cut} from "./server.js";
import {draw, SHOWN, sizeOf} from "./views.js";

const LOW = 0.6; // confidence below which the page warns; docs/server.md says what it is worth
const ENDINGS = {mask: "mask", overlay: "overlay"};

export class Card {
  // `settings()` gives {view, edges, quality, background}; `changed(card, text)` is called when
  // something has become of the photo, with what to say.
  constructor(file, settings, changed) {
    this.file = file;
    this.name = file.name || "pasted.png";
    this.settings = settings;
    this.changed = changed;
    this.cutout = this.photo = null;
    this.element = document.querySelector("#card").content.firstElementChild.cloneNode(true);
    this.part("name").textContent = this.name;
    this.part("split").setAttribute("aria-label", `Before and after of ${this.name}`);
    for (const action of ["download", "again", "remove"]) {
      this.part(action).setAttribute("aria-label", `${this.part(action).textContent} ${this.name}`);
    }
    this.part("split").addEventListener("input", () => this.split());
    this.part("again").addEventListener("click", () => this.changed(this, "again"));
    this.prepare();
  }

  part(name) {
    return this.element.querySelector(`.${name}`);
  }

  // Waits for its turn; what is under way is given up.
  prepare() {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.done = this.failed = false;
    this.part("wait").textContent = "Waiting …";
    this.part("error").hidden = this.part("again").hidden = true;
    this.part("download").disabled = true;
  }

  // Has the photo cut. It never rejects: what went wrong is shown.
  async work() {
    const {signal} = this.aborter;
    const {edges, quality} = this.settings();
    this.part("wait").textContent = "Cutting …";
    try {
      await this.load();
      const {blob, confidence} = await cut(this.file, {edges, quality}, signal);
      if (signal.aborted) return;
      this.cutout = blob;
      this.done = true;
      this.judge(confidence);
      this.part("wait").textContent = "";
      this.part("download").disabled = false;
      await this.show();
      this.changed(this, "done");
    } catch (error) {
      if (signal.aborted) return;
      this.failed = true;
      this.part("wait").textContent = "";
      this.part("error").textContent = error.message;
      this.part("error").hidden = this.part("again").hidden = false;
      this.changed(this, "failed");
    }
  }

  // The photo as the browser shows it; some kinds of files only the server can read.
  async load() {
    if (this.photo !== null || this.unreadable) return;
    try {
      const full = await createImageBitmap(this.file);
      const [width, height] = sizeOf(full, SHOWN);
      this.photo = await createImageBitmap(full, {resizeWidth: width, resizeHeight: height, resizeQuality: "high"});
      full.close();
      if (this.cutout === null) this.paint(this.part("result"), this.photo);
    } catch {
      this.unreadable = true;
    }
  }

  resize(canvas, [width, height]) {
    [canvas.width, canvas.height] = [width, height];
    this.part("frame").style.setProperty("--ratio", width / height);
  }

  paint(canvas, picture) {
    this.resize(canvas, [picture.width, picture.height]);
    canvas.getContext("2d").drawImage(picture, 0, 0);
  }

  judge(confidence) {
    this.confidence = confidence;
    this.part("confidence").textContent = `Confidence ${Math.round(confidence * 100)} %`;
    this.part("warning").hidden = !(confidence < LOW);
  }

  // Draws what the settings ask for.
  async show() {
    if (this.cutout === null) return;
    const {view, background} = this.settings();
    const cutout = await createImageBitmap(this.cutout);
    const canvas = this.part("result");
    this.resize(canvas, sizeOf(cutout, SHOWN));
    draw(canvas, view, cutout, this.photo, background);
    cutout.close();
    canvas.setAttribute("aria-label", `${view === "compare" ? "cut-out" : view} of ${this.name}`);
    const compared = view === "compare" && this.photo !== null;
    if (compared) this.paint(this.part("before"), this.photo);
    for (const name of ["before", "handle", "split"]) this.part(name).hidden = !compared;
    this.split();
  }

  split() {
    const {value} = this.part("split");
    this.part("split").setAttribute("aria-valuetext", `photo ${value} %, cut-out ${100 - value} %`);
    this.part("frame").style.setProperty("--split", `${value}%`);
  }

  // The file to be kept: {name, blob}, of the photo's full size.
  async result() {
    const {view, background} = this.settings();
    const stem = this.name.replace(/\.[^.]*$/, "") || "photo";
    const name = `${stem}-${ENDINGS[view] ?? "cutout"}.png`;
    const plain = !(view in ENDINGS) && background.kind === "none";
    if (plain) return {name, blob: this.cutout}; // the server's own, with profile and resolution
    const cutout = await createImageBitmap(this.cutout);
    const photo = view === "overlay" && !this.unreadable ? await createImageBitmap(this.file) : null;
    const canvas = new OffscreenCanvas(cutout.width, cutout.height);
    draw(canvas, view, cutout, photo, background);
    cutout.close();
    photo?.close();
    return {name, blob: await canvas.convertToBlob({type: "image/png"})};
  }

  leave() {
    this.aborter.abort();
    this.photo?.close();
    this.element.remove();
  }
}
