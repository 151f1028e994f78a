// A text input with suggestions, after the ARIA pattern "editable combobox with list autocomplete".

import { h } from "./dom.js";

const SHOWN_MAX = 8;

/** Makes `input` one. `options` is a function of the text: [{ value, note }]; `chosen` is called with a value that was picked. */
export function combobox(input, options, chosen) {
  const list = h("ul", { class: "options", role: "listbox", id: `${input.id}-list`, "aria-label": "Suggestions", hidden: true });
  const box = h("div", { class: "combobox" });
  input.before(box);
  box.append(input, list);
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id }))
    input.setAttribute(name, value);
  let active = -1;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const pick = (value) => {
    input.value = value;
    close();
    chosen(value);
  };
  const open = () => {
    const found = options(input.value).slice(0, SHOWN_MAX);
    list.replaceChildren(...found.map((option, index) =>
      h("li", { role: "option", id: `${list.id}-${index}`, "aria-selected": "false", "data-value": option.value },
        h("span", null, option.value), h("span", { class: "quiet" }, option.note))));
    active = -1;
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
  };
  const move = (by) => {
    if (list.hidden) open();
    const items = [...list.children];
    if (items.length === 0) return;
    active = (active + by + items.length) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === active)));
    input.setAttribute("aria-activedescendant", items[active].id);
    items[active].scrollIntoView({ block: "nearest" });
  };

  input.addEventListener("input", open);
  input.addEventListener("click", () => list.hidden && open());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(active < 0 ? 0 : -1);
    else if (event.key === "Enter" && active >= 0) pick(list.children[active].dataset.value);
    else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
  });
  // the list is used while the input keeps the focus
  list.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const item = event.target.closest("li");
    if (item) pick(item.dataset.value);
  });
}
