// Runs the page's tests: bundles the TypeScript and gives it to Node's own test runner.
//   node test/run.mjs types unit contract page   the named groups; the last line counts every case
//   node test/run.mjs live                       the page before the real program (QUICKWATER_PROGRAM)
//   node test/run.mjs shots                      pictures of every view, to be looked at
//   node test/run.mjs serve                      the mock server with the built page (PORT=8081)
// QUICKWATER_PAGE_DIST names a page that is built already.
import { build } from "esbuild";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..");
const modules = join(root, "node_modules");
// Inside node_modules, so that what is not bundled (playwright-core) is found from there.
const out = mkdtempSync(join(modules, ".quickwater-tests-"));
process.on("exit", () => rmSync(out, { recursive: true, force: true }));

async function bundle(entries) {
  await build({
    entryPoints: entries,
    outdir: out,
    outbase: here,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node18",
    outExtension: { ".js": ".mjs" },
    external: ["playwright-core"],
    logLevel: "warning",
    sourcemap: "inline",
  });
}

// The folder of the built page: the given one, or one that is built now.
async function page_built() {
  if (process.env.QUICKWATER_PAGE_DIST) return process.env.QUICKWATER_PAGE_DIST;
  const vite = await import("vite");
  await vite.build({ root, logLevel: "warn" });
  return join(root, "dist");
}

function start(args, dist, stdio) {
  const env = { ...process.env, QUICKWATER_UI_ROOT: root, QUICKWATER_PAGE_DIST: dist };
  const child = spawn(process.execPath, args, { stdio, env });
  for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => child.kill(name));
  return child;
}

async function serve() {
  const dist = await page_built();
  await bundle([join(here, "serve.ts")]);
  start([join(out, "serve.mjs")], dist, "inherit").on("exit", (code) => process.exit(code ?? 1));
}

// Counts the cases in the runner's TAP, which it also passes on.
function count(line, counts) {
  const match = /^(ok|not ok) \d+ - (.*?)(?: # (SKIP)(?: (.*))?)?$/.exec(line);
  if (match === null) return;
  const [, verdict, name, skipped, reason] = match;
  if (skipped) {
    counts.skipped++;
    process.stdout.write(`SKIP: ${name}: ${reason ?? "no reason given"}\n`);
  } else if (verdict === "ok") counts.passed++;
  else counts.failed++;
}

function types(counts) {
  const tsc = spawnSync(process.execPath, [join(modules, "typescript/bin/tsc"), "--noEmit"], {
    cwd: root,
    stdio: "inherit",
  });
  count(`${tsc.status === 0 ? "ok" : "not ok"} 1 - types`, counts);
}

async function run(groups) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (groups.includes("types")) types(counts);
  const files = groups
    .filter((group) => group !== "types")
    .flatMap((group) =>
      readdirSync(join(here, group))
        .filter((name) => name.endsWith(".test.ts"))
        .map((name) => join(here, group, name)),
    );
  const needs_page = groups.some((group) => ["contract", "page", "shots"].includes(group));
  const dist = needs_page && !process.env.QUICKWATER_URL ? await page_built() : "";
  await bundle(files);
  const built = files.map((file) => join(out, file.slice(here.length + 1).replace(/\.ts$/, ".mjs")));
  let code = 0;
  // One file after the other, each in its own process: Node 18 cannot be told to run them in turn.
  for (const file of built) code = (await run_file(file, dist, counts)) || code;
  const { passed, failed, skipped } = counts;
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  process.exit(failed > 0 || code !== 0 ? 1 : 0);
}

function run_file(file, dist, counts) {
  return new Promise((done) => {
    const args = ["--enable-source-maps", "--test-reporter=tap", file];
    const child = start(args, dist, ["inherit", "pipe", "inherit"]);
    let rest = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      process.stdout.write(text);
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) count(line, counts);
    });
    child.on("exit", (code, signal) => done(signal ? 1 : code));
  });
}

const groups = process.argv.slice(2);
if (groups[0] === "serve") await serve();
else await run(groups);
