// Questions to the server that this page came from, with the key where it asks for one.

import { askForKey } from "./key.js";

let key = "";

/** What the server refused, in its own words. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export function keyHeaders(): Record<string, string> {
  return key ? { "X-API-Key": key } : {};
}

/** Ask, and ask again with a key where one is needed, or after a while where the server is busy. */
export async function ask(address: string, options: RequestInit = {}): Promise<Response> {
  for (let attempt = 0; ; attempt += 1) {
    let response: Response;
    try {
      response = await fetch(address, { ...options, headers: { ...keyHeaders(), ...options.headers } });
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refusal(0, "The server does not answer; is it still running?");
    }
    if (response.ok) return response;
    if (response.status === 401 && (await renewKey())) continue;
    const pause = Number(response.headers.get("Retry-After") ?? NaN);
    if ((response.status === 429 || response.status === 503) && attempt < 3 && pause <= 5 && !options.body) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * pause));
      continue;
    }
    throw new Refusal(response.status, await reason(response));
  }
}

export async function askJson<Answer>(address: string, options: RequestInit = {}): Promise<Answer> {
  return (await (await ask(address, options)).json()) as Answer;
}

/** Ask the user for a key; several questions that wait for one share it. */
export async function renewKey(): Promise<boolean> {
  const given = await askForKey();
  if (given) key = given;
  return Boolean(given);
}

/** What an answer that is no success says. */
export async function reason(response: Response): Promise<string> {
  return reasonOf(await response.text().catch(() => ""), response.status);
}

export function reasonOf(text: string, status: number): string {
  try {
    const content = JSON.parse(text) as { detail?: unknown; advice?: unknown };
    const said = [content.detail, content.advice].filter((part) => typeof part === "string" && part);
    if (said.length) return said.join(" ");
  } catch {
    // No JSON: the status has to do.
  }
  return `The server answered with status ${status}.`;
}
