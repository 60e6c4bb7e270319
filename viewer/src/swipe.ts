// The border between image and map: what is clipped is drawn on its right side only.

import type BaseLayer from "ol/layer/Layer.js";
import type OlMap from "ol/Map.js";
import { unByKey } from "ol/Observable.js";
import type { EventsKey } from "ol/events.js";
import { getRenderPixel } from "ol/render.js";
import type RenderEvent from "ol/render/Event.js";

import { byId } from "./dom.js";

const STEPS: Record<string, number> = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };

export class Swipe {
  private readonly handle = byId("swipe");
  private keys: EventsKey[] = [];
  private share = 0.5;

  constructor(private readonly map: OlMap) {
    this.handle.addEventListener("pointerdown", (event) => this.drag(event));
    this.handle.addEventListener("keydown", (event) => this.press(event));
    this.place();
  }

  get shown(): boolean {
    return !this.handle.hidden;
  }

  show(shown: boolean): void {
    this.handle.hidden = !shown;
    this.map.render();
  }

  /** Clip these layers and no others. */
  clip(layers: BaseLayer[]): void {
    unByKey(this.keys);
    this.keys = layers.flatMap((layer) => [
      layer.on("prerender", (event) => this.begin(event)),
      layer.on("postrender", (event) => this.end(event)),
    ]);
  }

  private begin(event: RenderEvent): void {
    const context = event.context as CanvasRenderingContext2D;
    context.save();
    if (!this.shown) return;
    const [width, height] = this.map.getSize() ?? [0, 0];
    const x = width! * this.share;
    const corners = [[x, 0], [width!, 0], [width!, height!], [x, height!]].map((corner) => getRenderPixel(event, corner));
    context.beginPath();
    corners.forEach(([left, top], position) => context[position ? "lineTo" : "moveTo"](left!, top!));
    context.closePath();
    context.clip();
  }

  private end(event: RenderEvent): void {
    (event.context as CanvasRenderingContext2D).restore();
  }

  private drag(event: PointerEvent): void {
    event.preventDefault();
    this.handle.focus();
    this.handle.setPointerCapture(event.pointerId);
    const move = (moved: PointerEvent) => {
      const frame = byId("map").getBoundingClientRect();
      this.moveTo((moved.clientX - frame.left) / frame.width);
    };
    const stop = () => {
      this.handle.removeEventListener("pointermove", move);
      this.handle.removeEventListener("pointerup", stop);
      this.handle.removeEventListener("pointercancel", stop);
    };
    this.handle.addEventListener("pointermove", move);
    this.handle.addEventListener("pointerup", stop);
    this.handle.addEventListener("pointercancel", stop);
  }

  private press(event: KeyboardEvent): void {
    const step = STEPS[event.key];
    if (step !== undefined) this.moveTo(this.share + step / 100);
    else if (event.key === "Home") this.moveTo(0);
    else if (event.key === "End") this.moveTo(1);
    else return;
    event.preventDefault();
  }

  private moveTo(share: number): void {
    this.share = Math.min(1, Math.max(0, share));
    this.place();
    this.map.render();
  }

  private place(): void {
    const percent = Math.round(100 * this.share);
    this.handle.style.left = `${100 * this.share}%`;
    this.handle.setAttribute("aria-valuenow", String(percent));
    this.handle.setAttribute("aria-valuetext", `image ${percent} %, map ${100 - percent} %`);
  }
}
