// What stands at the pixel that was asked for.

import { body, byId, make, swatch } from "./dom.js";
import type { PixelFacts, SceneFacts } from "./facts.js";
import { degrees, figure } from "./format.js";
import { askJson } from "./server.js";

export function clearPixel(): void {
  body("pixel").replaceChildren(
    make("p", { class: "hint" }, "Click the map, or move it with the arrow keys and press Enter for the pixel at its centre."),
  );
}

export async function showPixel(scene: SceneFacts, x: number, y: number, signal: AbortSignal): Promise<void> {
  const found = await askJson<PixelFacts>(`/viewer/scenes/${scene.id}/pixels/${x}/${y}`, { signal });
  const list = make("dl", {});
  const say = (name: string, ...value: (Node | string)[]) => list.append(make("dt", {}, name), make("dd", {}, ...value));
  if (scene.classes.length) {
    const one = found.class_position === null ? null : scene.classes[found.class_position];
    say("Class", ...(one ? [swatch(one.colour), one.name] : ["no class: nothing was measured here"]));
  }
  for (const layer of found.layers) {
    const facts = scene.layers.find((one) => one.name === layer.name);
    if (!facts) continue;
    if (layer.name === "abstain") say(facts.title, layer.value ? "yes" : "no");
    else if (layer.name === "sets") say(facts.title, layer.classes.map((one) => scene.classes[one]?.name ?? "?").join(", "));
    else say(facts.title, figure(layer.value));
  }
  say("Pixel", `column ${found.x}, row ${found.y}`);
  if (found.position) {
    const { x: east, y: north, crs, latitude, longitude } = found.position;
    say(crs.length < 30 ? crs : "Coordinates", `${east.toFixed(2)}, ${north.toFixed(2)}`);
    if (latitude !== null && longitude !== null) say("Position", degrees(latitude, longitude));
  }
  for (const { band, value } of found.bands) say(band, value === null ? "not measured" : String(Number(value.toPrecision(7))));
  const parts: Node[] = [list];
  if (found.probabilities.length) parts.push(probabilities(scene, found.probabilities));
  body("pixel").replaceChildren(...parts);
  const part = byId<HTMLDetailsElement>("pixel");
  part.open = true;
  part.scrollIntoView({ block: "nearest" });
}

function probabilities(scene: SceneFacts, values: number[]): HTMLElement {
  const order = values.map((_, position) => position).sort((a, b) => values[b]! - values[a]!);
  const rows = order.slice(0, 12).map((position) => {
    const value = values[position]!;
    const bar = make("meter", { min: 0, max: 1, value, "aria-label": `Probability of ${scene.classes[position]?.name}` });
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, scene.classes[position]?.name ?? "?"),
      make("td", { class: "meter" }, bar),
      make("td", { class: "number" }, value.toFixed(3)),
    );
  });
  return make("table", {}, make("caption", {}, "Probabilities"), make("tbody", {}, ...rows));
}
