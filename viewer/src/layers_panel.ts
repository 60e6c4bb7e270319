// What is shown, and how: the image's bands and stretch, the map's opacity, a further layer.

import { body, checkbox, choice, make, slider } from "./dom.js";
import type { ImageFacts, LayerFacts, SceneFacts, Stretch } from "./facts.js";
import { figure } from "./format.js";
import type { Stage } from "./stage.js";

export function showLayers(scene: SceneFacts, stage: Stage): void {
  const parts: (HTMLElement | null)[] = [
    scene.image && imageControls(scene.image, stage),
    scene.classes.length ? mapControls(stage) : null,
    scene.layers.length ? furtherControls(scene, stage) : null,
    make("div", { class: "row" }, make("button", { type: "button", click: () => stage.fit() }, "Show the whole scene")),
  ];
  body("layers").replaceChildren(...parts.filter((part) => part !== null));
}

function imageControls(image: ImageFacts, stage: Stage): HTMLElement {
  const shown = checkbox("Image", true, (checked) => stage.image?.layer.setVisible(checked), { id: "image-shown" });
  const field = make("fieldset", {}, make("legend", { class: "unseen" }, "Image"), shown);
  if (image.palette) return field;
  const box = make("details", { class: "more" }, make("summary", {}, "Bands and brightness"));
  field.append(box);
  let bands = [...image.shown];
  let stretch: Stretch = image.stretch;
  const draw = () => stage.image?.restyle({ bands: bands.join(","), stretch });
  const options = image.bands.map((text, position) => ({ value: String(image.numbers[position]), text }));
  if (image.bands.length > 1) {
    const pickers = make("div", { class: "bands" });
    const fill = () => {
      const names = bands.length === 3 ? ["Red", "Green", "Blue"] : ["Band"];
      pickers.replaceChildren(
        ...names.map((name, position) =>
          choice(name, options, String(bands[position]), (value) => {
            bands[position] = Number(value);
            draw();
          }),
        ),
      );
    };
    fill();
    if (image.bands.length >= 3) {
      const forms = [
        { value: "3", text: "three bands" },
        { value: "1", text: "one band" },
      ];
      box.append(
        choice("Show as", forms, "3", (value) => {
          bands = value === "3" ? [...image.shown] : [bands[0]!];
          fill();
          draw();
        }),
      );
    }
    box.append(pickers);
  }
  const ways = [
    { value: "percentiles", text: "2nd to 98th percentile" },
    { value: "full", text: "all values" },
  ];
  box.append(
    choice("Brightness", ways, stretch, (value) => {
      stretch = value as Stretch;
      draw();
    }),
  );
  return field;
}

function mapControls(stage: Stage): HTMLElement {
  const both = Boolean(stage.image);
  return make(
    "fieldset",
    {},
    make("legend", { class: "unseen" }, "Map"),
    checkbox("Map", true, (checked) => stage.classes?.layer.setVisible(checked), { id: "map-shown" }),
    slider("Opacity", 100, (value) => stage.setOpacity(value / 100), { id: "map-opacity" }),
    both ? checkbox("Swipe between image and map", true, (checked) => stage.swipe.show(checked), { id: "swipe-shown" }) : null,
  );
}

function furtherControls(scene: SceneFacts, stage: Stage): HTMLElement {
  const ramp = make("div", { class: "ramp-box" });
  const which = make("div", {});
  let chosen: LayerFacts | null = null;
  let opacity = 1;
  const draw = (band: number) => {
    stage.showFurther(chosen, band);
    stage.further?.layer.setOpacity(opacity);
  };
  const fade = slider(
    "Opacity",
    100,
    (value) => {
      opacity = value / 100;
      stage.further?.layer.setOpacity(opacity);
    },
    { id: "further-opacity" },
  );
  fade.hidden = true;
  const options = [{ value: "", text: "nothing" }, ...scene.layers.map((one) => ({ value: one.name, text: one.title }))];
  const picker = choice("Also show", options, "", (name) => {
    chosen = scene.layers.find((one) => one.name === name) ?? null;
    which.replaceChildren();
    if (chosen?.bands.length) {
      const classes = chosen.bands.map((text, position) => ({ value: String(position + 1), text }));
      which.append(choice("Class", classes, "1", (value) => draw(Number(value))));
    }
    ramp.replaceChildren(...(chosen ? [rampOf(chosen)] : []));
    fade.hidden = !chosen;
    draw(1);
  });
  picker.querySelector("select")!.id = "further";
  picker.querySelector("label")!.htmlFor = "further";
  return make(
    "fieldset",
    {},
    make("legend", { class: "unseen" }, "Further layers"),
    picker,
    which,
    fade,
    ramp,
  );
}

function rampOf(layer: LayerFacts): HTMLElement {
  const bar = make("div", { class: "ramp", "aria-hidden": "true" });
  const only = layer.colours.length === 1;
  bar.style.background = only ? layer.colours[0]! : `linear-gradient(to right, ${layer.colours.join(", ")})`;
  return make(
    "div",
    {},
    bar,
    only
      ? null
      : make("div", { class: "ends" }, make("span", {}, figure(layer.low)), make("span", {}, figure(layer.high))),
    make("p", { class: "hint" }, layer.meaning),
  );
}
