// Builds the viewer into the Python package: one script, one style sheet, one page, and the licences of what is in them.

import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const goal = path.join(here, "..", "src", "terrazzo", "serve", "static");

await rm(goal, { recursive: true, force: true });
await mkdir(goal, { recursive: true });

const result = await build({
  absWorkingDir: here,
  entryPoints: { viewer: "src/main.ts" },
  entryNames: "[name]-[hash]",
  outdir: goal,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  legalComments: "none", // the licences stand in a file of their own
  metafile: true,
  logLevel: "warning",
});

const names = Object.keys(result.metafile.outputs).map((file) => path.basename(file));
const named = (suffix) => names.find((name) => name.endsWith(suffix));
const page = await readFile(path.join(here, "src", "index.html"), "utf8");
await writeFile(path.join(goal, "licences.txt"), await licences(Object.keys(result.metafile.inputs)));
// The page comes last: where it stands, the viewer is whole.
await writeFile(
  path.join(goal, "index.html"),
  page.replace("{{script}}", named(".js")).replace("{{style}}", named(".css")),
);
console.log(`viewer built: ${names.join(", ")}, index.html, licences.txt`);

// Return the licence texts of all packages of which a file is part of the bundle.
async function licences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  const parts = ["The map viewer holds parts of these packages.\n"];
  for (const name of [...packages].sort()) {
    const folder = path.join(here, "node_modules", name);
    const facts = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    if (!file) throw new Error(`${name} has no licence file; find out under what terms it may be given on.`);
    const text = await readFile(path.join(folder, file), "utf8");
    parts.push(`${"=".repeat(80)}\n${name} ${facts.version} (${facts.license})\n${"=".repeat(80)}\n\n${text.trim()}\n`);
  }
  return parts.join("\n");
}
