// The viewer: which scene is shown, and what becomes of the page when it changes.

import "ol/ol.css";
import "./style.css";

import { byId, make, message } from "./dom.js";
import type { Job, SceneBrief, SceneFacts, SceneList } from "./facts.js";
import { Jobs } from "./jobs.js";
import { showLayers } from "./layers_panel.js";
import { showLegend } from "./legend.js";
import { clearPixel, showPixel } from "./pixel.js";
import { askJson } from "./server.js";
import { Stage } from "./stage.js";

const picker = byId<HTMLSelectElement>("scenes");
let scene: SceneFacts | null = null;
let asking = new AbortController();
let looking = new AbortController();

const stage = new Stage((x, y) => {
  if (!scene) return;
  looking.abort();
  looking = new AbortController();
  told(showPixel(scene, x, y, looking.signal));
});

/** Tell the user of an error, unless it only says that something newer was asked for. */
function told(work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    if (!(error instanceof DOMException && error.name === "AbortError")) message((error as Error).message);
  });
}

function list(scenes: SceneBrief[]): void {
  const groups = new Map<string, HTMLElement>();
  picker.replaceChildren();
  for (const one of scenes) {
    const group = one.job ? "Jobs" : one.group;
    if (group && !groups.has(group)) {
      groups.set(group, make("optgroup", { label: group }));
      picker.append(groups.get(group)!);
    }
    (groups.get(group) ?? picker).append(make("option", { value: one.id }, one.mapped ? one.name : `${one.name} (image)`));
  }
  picker.disabled = !scenes.length;
  const empty = byId("empty");
  empty.hidden = scenes.length > 0;
  empty.textContent = "There is no scene yet. Map an image, and it will be shown here.";
}

async function show(id: string): Promise<void> {
  asking.abort();
  looking.abort();
  asking = new AbortController();
  const { signal } = asking;
  picker.value = id;
  history.replaceState(null, "", `#scene=${id}`);
  const facts = await askJson<SceneFacts>(`/viewer/scenes/${id}`, { signal });
  scene = facts;
  document.title = `${facts.name} – Terrazzo`;
  stage.show(facts);
  byId("notes").replaceChildren(...facts.notes.map((note) => make("p", {}, note)));
  showLayers(facts, stage);
  clearPixel();
  await showLegend(facts, stage, signal);
}

async function openJob(job: Job): Promise<void> {
  const { scenes } = await askJson<SceneList>("/viewer/scenes");
  list(scenes);
  const found = scenes.find((one) => one.job === job.id);
  if (found) await show(found.id);
  else message(`${job.scene}: its map is not there any more.`);
}

function foldPanel(): void {
  const toggle = byId("panel-toggle");
  toggle.addEventListener("click", () => {
    const shown = toggle.getAttribute("aria-expanded") !== "true";
    toggle.setAttribute("aria-expanded", String(shown));
    byId("panel").hidden = !shown;
    stage.map.updateSize();
  });
  new ResizeObserver(() => stage.map.updateSize()).observe(byId("map"));
}

async function begin(): Promise<void> {
  foldPanel();
  clearPixel();
  picker.addEventListener("change", () => told(show(picker.value)));
  const { scenes, jobs } = await askJson<SceneList>("/viewer/scenes");
  list(scenes);
  const wanted = new URLSearchParams(location.hash.slice(1)).get("scene");
  const first = scenes.find((one) => one.id === wanted) ?? scenes[0];
  if (jobs) told(new Jobs(openJob).show());
  if (first) await show(first.id);
}

told(begin());
