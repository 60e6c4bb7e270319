// Sending in an image, and the jobs that map it.

import { body, byId, checkbox, choice, make, message } from "./dom.js";
import type { Job, Model } from "./facts.js";
import { follow } from "./events.js";
import { figure } from "./format.js";
import { ask, askJson } from "./server.js";
import { send } from "./upload.js";

const LAYERS: [string, string][] = [
  ["confidence", "Confidence"],
  ["probabilities", "Probabilities"],
  ["steps", "Steps, of a network that answers in steps"],
];
const WORDS = { waiting: "waits", running: "is mapped", finished: "is finished", failed: "failed", cancelled: "was cancelled" };

export class Jobs {
  private readonly list = make("ul", { class: "jobs", "aria-label": "Jobs" });
  private readonly rows = new Map<string, HTMLElement>();
  private readonly followed = new Set<string>();
  private readonly asked = new Set(["confidence"]);
  private model = "";

  constructor(private readonly open: (job: Job) => Promise<void>) {}

  async show(): Promise<void> {
    const { models } = await askJson<{ models: Model[] }>("/v1/models");
    if (!models.length) return;
    this.model = models[0]!.name;
    byId("send").hidden = false;
    const file = make("input", {
      type: "file",
      id: "image-file",
      accept: ".tif,.tiff,.png,.jpg,.jpeg,image/tiff,image/png,image/jpeg",
      change: () => {
        const chosen = file.files?.[0];
        if (chosen) void this.send(chosen);
        file.value = "";
      },
    });
    const names = models.map((one) => ({ value: one.name, text: one.name }));
    const boxes = LAYERS.map(([name, text]) =>
      checkbox(text, this.asked.has(name), (checked) => (checked ? this.asked.add(name) : this.asked.delete(name))),
    );
    const parts: (HTMLElement | null)[] = [
      models.length > 1 ? choice("Model", names, this.model, (value) => (this.model = value)) : null,
      make("fieldset", {}, make("legend", {}, "Also write"), ...boxes),
      make("label", { class: "file" }, make("span", {}, "Choose an image, or drop it on the page"), file),
      this.list,
    ];
    body("send").replaceChildren(...parts.filter((part) => part !== null));
    this.takeDrops();
    const { jobs } = await askJson<{ jobs: Job[] }>("/v1/jobs");
    for (const job of [...jobs].reverse()) this.update(job);
    if (jobs.length) (byId("send") as HTMLDetailsElement).open = true;
  }

  private takeDrops(): void {
    document.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
    document.addEventListener("drop", (event) => {
      const dropped = event.dataTransfer?.files[0];
      if (!dropped) return;
      event.preventDefault();
      void this.send(dropped);
    });
  }

  private async send(file: File): Promise<void> {
    (byId("send") as HTMLDetailsElement).open = true;
    const bar = make("progress", { max: 1, value: 0, "aria-label": `Sending ${file.name}` });
    const stop = new AbortController();
    const row = make(
      "li",
      {},
      make("span", { class: "name" }, file.name),
      make("span", { class: "state" }, "is sent"),
      bar,
      make("button", { type: "button", click: () => stop.abort() }, "Cancel"),
    );
    this.list.prepend(row);
    try {
      const query = new URLSearchParams({ model: this.model });
      for (const layer of this.asked) query.append("layers", layer);
      const job = await send<Job>(`/v1/jobs?${query}`, file, stop.signal, (share) => (bar.value = share));
      row.remove();
      this.update(job, true);
    } catch (error) {
      row.remove();
      if (!stop.signal.aborted) message(`${file.name}: ${(error as Error).message}`);
    }
  }

  /** Show a job as it is now; one that was sent from here is opened once it is finished. */
  private update(job: Job, own = false): void {
    const row = make("li", { "data-job": job.id, "data-state": job.state });
    row.append(make("span", { class: "name" }, job.scene), make("span", { class: "state" }, this.state(job)));
    const { done, total } = job.progress;
    const going = job.state === "waiting" || job.state === "running";
    if (going) {
      row.append(make("progress", { "aria-label": `Progress of ${job.scene}`, ...(total ? { max: total, value: done } : {}) }));
    }
    if (job.state === "finished") {
      row.append(make("button", { type: "button", class: "main", click: () => void this.open(job) }, "Show"));
    }
    row.append(make("button", { type: "button", click: () => void this.end(job) }, going ? "Cancel" : "Remove"));
    const old = this.rows.get(job.id);
    const focused = old?.contains(document.activeElement) ? [...old.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement) : -1;
    if (old) old.replaceWith(row);
    else this.list.prepend(row);
    if (focused >= 0) row.querySelectorAll("button")[focused]?.focus();
    this.rows.set(job.id, row);
    if (going) void this.follow(job, own);
  }

  private state(job: Job): string {
    const { done, total, unit, seconds } = job.progress;
    if (job.state === "running" && total) return `${done} of ${total} ${unit}, ${figure(seconds)} s`;
    return job.error ? `${WORDS[job.state]}: ${job.error}` : WORDS[job.state];
  }

  private async follow(job: Job, own: boolean): Promise<void> {
    if (this.followed.has(job.id)) return;
    this.followed.add(job.id);
    try {
      let last = job;
      await follow<Job>(`/v1/jobs/${job.id}/events`, (now) => {
        last = now;
        this.update(now, own);
      });
      if (own && last.state === "finished") await this.open(last);
    } catch (error) {
      message(`${job.scene}: ${(error as Error).message}`);
    } finally {
      this.followed.delete(job.id);
    }
  }

  private async end(job: Job): Promise<void> {
    try {
      const response = await ask(`/v1/jobs/${job.id}`, { method: "DELETE" });
      if (response.status !== 204) return; // it is being cancelled; its events tell the rest
      this.rows.get(job.id)?.remove();
      this.rows.delete(job.id);
    } catch (error) {
      message((error as Error).message);
    }
  }
}
