// The classes of a map: colours, names, what they cover, and whether they are shown.

import { body, byId, make, swatch } from "./dom.js";
import type { SceneAreas, SceneFacts } from "./facts.js";
import { count, ground, percent } from "./format.js";
import { askJson } from "./server.js";
import type { Stage } from "./stage.js";

export async function showLegend(scene: SceneFacts, stage: Stage, signal: AbortSignal): Promise<void> {
  byId("legend").hidden = !scene.classes.length;
  const place = body("legend");
  place.replaceChildren();
  if (!scene.classes.length) return;
  const hidden = new Set<number>();
  const draw = () => stage.classes?.restyle({ hidden: [...hidden].sort((a, b) => a - b).join(",") });
  const boxes = scene.classes.map((_, position) =>
    make("input", {
      type: "checkbox",
      id: `class-${position}`,
      checked: true,
      change: (event) => {
        if ((event.target as HTMLInputElement).checked) hidden.delete(position);
        else hidden.add(position);
        draw();
      },
    }),
  );
  const all = (checked: boolean) => {
    boxes.forEach((box, position) => {
      box.checked = checked;
      if (checked) hidden.delete(position);
      else hidden.add(position);
    });
    draw();
  };
  const cells = scene.classes.map(() => ({ area: make("td", { class: "number" }, "…"), share: make("td", { class: "number" }, "") }));
  const rows = scene.classes.map((one, position) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, make("label", {}, boxes[position]!, swatch(one.colour), make("span", {}, one.name))),
      cells[position]!.area,
      cells[position]!.share,
    ),
  );
  const head = make(
    "tr",
    {},
    make("th", { scope: "col" }, "Class"),
    make("th", { scope: "col", class: "number" }, "Area"),
    make("th", { scope: "col", class: "number" }, "Share"),
  );
  const hint = make("p", { class: "hint" });
  place.append(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)),
    make(
      "div",
      { class: "row" },
      make("button", { type: "button", click: () => all(true) }, "All"),
      make("button", { type: "button", click: () => all(false) }, "None"),
    ),
    hint,
  );
  const areas = await askJson<SceneAreas>(`/viewer/scenes/${scene.id}/areas`, { signal });
  const total = areas.classes.reduce((sum, one) => sum + one.pixels, 0);
  areas.classes.forEach((one, position) => {
    const cell = cells[position];
    if (!cell) return;
    cell.area.textContent = one.square_metres === null ? `${count(one.pixels)} px` : ground(one.square_metres);
    cell.area.title = `${count(one.pixels)} pixels`;
    cell.share.textContent = total ? percent(one.pixels / total) : "";
  });
  const known = areas.classes.some((one) => one.square_metres !== null);
  hint.textContent = [
    known ? "Mapped ground on the ellipsoid." : "The scene does not say where on earth it lies: areas are pixels.",
    areas.estimated ? "Estimated, since the map is huge." : "",
    "A map's errors are in these figures; `terrazzo areas` estimates without them.",
  ]
    .filter(Boolean)
    .join(" ");
}
