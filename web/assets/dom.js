// Builds and mends elements. Data only ever becomes text nodes and attributes, never markup.

/** An element: `h("p", { class: "note" }, "text", child)`. `on` holds listeners; null, undefined and false are left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");

export const byId = (id) => document.getElementById(id);

/** Puts children in the place of what is there. */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
  return parent;
}

/** Makes the content of `parent` like `children` and keeps what is alike, so that focus, hover and selection stay. */
export function patch(parent, ...children) {
  const wanted = present(children).map((child) => (typeof child === "string" ? document.createTextNode(child) : child));
  wanted.forEach((next, index) => {
    const old = parent.childNodes[index];
    if (!old) parent.append(next);
    else mend(old, next);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

function mend(old, next) {
  const alike = old.nodeName === next.nodeName && (old.nodeType !== 1 || old.getAttribute("data-key") === next.getAttribute("data-key"));
  if (!alike) return old.replaceWith(next);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) === value) continue;
    // the content security policy takes a style from the object model only
    if (name === "style") old.style.cssText = value;
    else old.setAttribute(name, value);
  }
  return patch(old, ...next.childNodes);
}

/** Says something to people who do not see the page. */
export function announce(text) {
  const region = byId("announcer");
  if (region && region.textContent !== text) region.textContent = text;
}

/** A table with a caption. `columns` are headings, or { title, number } for a column of numbers; rows are arrays of cells. */
export function table(caption, columns, rows, { empty = "Nothing.", hideCaption = false } = {}) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty);
  const heads = columns.map((column) => (typeof column === "string" ? { title: column } : column));
  const cell = (value, index) =>
    h("td", { class: heads[index].number && "number", "data-label": heads[index].title || null }, value ?? "");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null,
      h("caption", { class: hideCaption && "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col", class: head.number && "number" }, head.title)))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map(cell))))));
}

/** A bar whose length is a share of 1; the number beside it is for people. */
export function bar(share, tone) {
  const inner = h("span", { class: `fill ${tone ?? ""}` });
  inner.style.setProperty("inline-size", `${Math.max(0, Math.min(1, share)) * 100}%`);
  return h("span", { class: "bar", "aria-hidden": "true" }, inner);
}

/** Shows a dialog and leaves it by Escape, its close buttons or a click beside it. */
export function openDialog(dialog) {
  if (!dialog.dataset.wired) {
    dialog.dataset.wired = "true";
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
  }
  dialog.showModal();
}
