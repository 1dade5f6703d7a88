// Bundles src/ into an output directory: `node build.mjs [--outdir DIR] [--watch]`, DIR is dist by default.
// The same sources and lock file give the same bytes: tests/web checks that dist/ is current.
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const option = process.argv.indexOf("--outdir");
const outdir = option >= 0 ? process.argv[option + 1] : join(here, "dist");

const settings = {
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts" },
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  legalComments: "eof",
  charset: "utf8",
  logLevel: "warning",
};

async function copyStatic() {
  await mkdir(outdir, { recursive: true });
  for (const name of ["index.html", "icon.svg"]) await copyFile(join(here, "src", name), join(outdir, name));
}

await copyStatic();
if (process.argv.includes("--watch")) {
  const context = await esbuild.context(settings);
  await context.watch();
} else {
  await esbuild.build(settings);
}
