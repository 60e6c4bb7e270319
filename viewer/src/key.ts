// The dialogue that asks for the server's key. The key is kept in memory alone.

let waiting: Promise<string> | null = null;

export function askForKey(): Promise<string> {
  waiting ??= new Promise<string>((resolve) => {
    const dialogue = document.getElementById("key") as HTMLDialogElement;
    const field = dialogue.querySelector("input") as HTMLInputElement;
    field.value = "";
    dialogue.returnValue = "";
    dialogue.addEventListener(
      "close",
      () => {
        const given = dialogue.returnValue === "give" ? field.value : "";
        field.value = "";
        waiting = null;
        resolve(given);
      },
      { once: true },
    );
    dialogue.showModal();
  });
  return waiting;
}
