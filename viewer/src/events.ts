// Server-sent events over fetch, since the browser's own reader of them can send no key.

import { ask } from "./server.js";

const PAUSES = [500, 1000, 2000, 4000, 8000];

/** Call back for each event's data until the server ends the stream; a broken connection is taken up again. */
export async function follow<Content extends { state: string }>(
  address: string,
  told: (content: Content) => void,
): Promise<void> {
  let state = "";
  for (let attempt = 0; ; ) {
    try {
      await read(address, (content: Content) => {
        attempt = 0;
        state = content.state;
        told(content);
      });
      if (state !== "waiting" && state !== "running") return;
    } catch (error) {
      if (attempt >= PAUSES.length) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSES[Math.min(attempt, PAUSES.length - 1)]));
    attempt += 1;
  }
}

async function read<Content>(address: string, told: (content: Content) => void): Promise<void> {
  const response = await ask(address, { headers: { Accept: "text/event-stream" } });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    const events = waiting.split("\n\n");
    waiting = events.pop()!;
    for (const event of events) {
      const lines = event.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) told(JSON.parse(lines.map((line) => line.slice(5).trimStart()).join("\n")) as Content);
    }
  }
}
