// The proof of purchase: chosen or dropped, checked, shown, taken away again.

import { byId, fill, h } from "./dom.js";

const BYTES_MAX = 3 * 1024 * 1024;
const TYPES = { "application/pdf": "PDF", "image/png": "PNG", "image/jpeg": "JPEG" };

const sayBytes = (bytes) => (bytes < 1_000_000 ? `${Math.max(1, Math.round(bytes / 1_000))} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`);

export class Proof {
  #file = null;
  #url = "";

  constructor() {
    this.input = byId("f-proof_of_purchase");
    const drop = byId("proof");
    this.input.addEventListener("change", () => this.input.files[0] && this.take(this.input.files[0]));
    for (const type of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(type, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", type === "dragover");
        if (type === "drop" && event.dataTransfer.files[0]) this.take(event.dataTransfer.files[0]);
      });
    }
  }

  setProblem(text) {
    byId("proof-problem").textContent = text;
  }

  take(file) {
    const problem = !TYPES[file.type]
      ? "This is no PDF, PNG or JPEG. Choose a file of one of these kinds."
      : file.size > BYTES_MAX ? `It has ${sayBytes(file.size)}; at most 3 MiB are taken. Choose a smaller picture or scan.`
        : file.size === 0 ? "The file is empty." : "";
    this.setProblem(problem);
    if (problem) this.input.value = "";
    else this.show(file);
  }

  show(file) {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#file = file;
    const isPicture = file.type.startsWith("image/");
    this.#url = isPicture ? URL.createObjectURL(file) : "";
    const picture = isPicture ? h("img", { src: this.#url, alt: "", width: 56, height: 56 }) : h("span", { class: "file", "aria-hidden": "true" }, "PDF");
    const remove = h("button", { type: "button", on: { click: () => this.remove() } }, "Remove", h("span", { class: "unseen" }, ` ${file.name}`));
    fill(byId("proof-chosen"), picture, h("span", { class: "name" }, h("strong", null, file.name), h("span", { class: "quiet" }, `${TYPES[file.type]}, ${sayBytes(file.size)}`)), remove);
    byId("proof").classList.add("chosen");
  }

  remove() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.#file = null;
    this.input.value = "";
    fill(byId("proof-chosen"));
    byId("proof").classList.remove("chosen");
    this.input.focus();
  }

  /** As the service takes it; null without a file. */
  async content() {
    const file = this.#file;
    if (!file) return null;
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.onerror = () => reject(new Error("The proof of purchase cannot be read. Choose it again."));
      reader.readAsDataURL(file);
    });
    return { filename: file.name, contentType: file.type, content: url.slice(url.indexOf(",") + 1) };
  }
}
