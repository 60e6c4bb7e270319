// Sending a file with its progress, which fetch cannot tell.

import { Refusal, keyHeaders, reasonOf, renewKey } from "./server.js";

export async function send<Answer>(
  address: string,
  file: File,
  signal: AbortSignal,
  progressed: (share: number) => void,
): Promise<Answer> {
  for (;;) {
    const { status, text } = await post(address, file, signal, progressed);
    if (status === 401 && (await renewKey())) continue;
    if (status < 200 || status >= 300) throw new Refusal(status, reasonOf(text, status));
    return JSON.parse(text) as Answer;
  }
}

function post(
  address: string,
  file: File,
  signal: AbortSignal,
  progressed: (share: number) => void,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => event.lengthComputable && progressed(event.loaded / event.total);
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = () => reject(new Refusal(0, "The server took no more of it; the file may be larger than it allows."));
    request.onabort = () => reject(new Refusal(0, "Sending was cancelled."));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    const form = new FormData();
    form.append("image", file);
    request.send(form);
  });
}
