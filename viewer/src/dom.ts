// Making elements: text is always text, never markup.

type Child = Node | string | null | false;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

/** Make an element; attributes whose value is a function are listeners, those that are false are left out. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return element;
}

export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found as Kind;
}

export function body(id: string): HTMLElement {
  return byId(id).querySelector(".body") as HTMLElement;
}

/** A small square of a colour. */
export function swatch(colour: string): HTMLElement {
  const square = make("span", { class: "swatch", "aria-hidden": "true" });
  square.style.backgroundColor = colour;
  return square;
}

let counter = 0;

/** A slider with its name and value. */
export function slider(
  name: string,
  value: number,
  changed: (value: number) => void,
  options: { id: string },
): HTMLElement {
  const shown = make("output", {}, `${value} %`);
  const input = make("input", {
    id: options.id,
    type: "range",
    min: 0,
    max: 100,
    step: 5,
    value,
    input: () => {
      shown.textContent = `${input.value} %`;
      changed(Number(input.value));
    },
  });
  return make("div", { class: "slider" }, make("label", { for: options.id }, name), input, shown);
}

/** A select with its name. */
export function choice(
  name: string,
  options: { value: string; text: string }[],
  value: string,
  changed: (value: string) => void,
): HTMLElement {
  counter += 1;
  const id = `choice-${counter}`;
  const select = make("select", { id, change: () => changed(select.value) });
  for (const option of options) {
    select.append(make("option", { value: option.value, selected: option.value === value }, option.text));
  }
  return make("div", { class: "choice" }, make("label", { for: id }, name), select);
}

export function checkbox(
  label: string,
  checked: boolean,
  changed: (checked: boolean) => void,
  attributes: Attributes = {},
): HTMLLabelElement {
  const input = make("input", { type: "checkbox", checked, ...attributes, change: () => changed(input.checked) });
  return make("label", { class: "check" }, input, make("span", {}, label));
}

/** Show a message for some seconds; an error stays until it is closed. */
export function message(text: string): void {
  const box = byId("messages");
  if ([...box.children].some((child) => child.firstChild?.textContent === text)) return;
  const shown = make("div", { class: "message" }, make("span", {}, text));
  shown.append(make("button", { type: "button", "aria-label": "Close the message", click: () => shown.remove() }, "×"));
  box.append(shown);
  while (box.children.length > 3) box.firstElementChild?.remove();
}
