// Runs the page's tests: bundles the TypeScript into build/ and gives it to Node's own test runner.
//   node test/run.mjs unit contract page     the named groups
//   node test/run.mjs serve                  the mock server with the built page (PORT=8081)
import { build } from "esbuild";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..");
const out = join(root, "node_modules", ".cache", "quickwater-tests");
const groups = process.argv.slice(2);

async function bundle(entries) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
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

async function page_built() {
  if (existsSync(join(root, "dist", "index.html")) && process.env.QUICKWATER_KEEP_DIST) return;
  const vite = await import("vite");
  await vite.build({ root, logLevel: "warn" });
}

function run(command, args) {
  const child = spawn(command, args, {
    stdio: "inherit",
    env: { ...process.env, QUICKWATER_UI_ROOT: root },
  });
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
  for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => child.kill(name));
}

if (groups[0] === "serve") {
  await page_built();
  await bundle([join(here, "serve.ts")]);
  run(process.execPath, [join(out, "serve.mjs")]);
} else {
  const files = groups.flatMap((group) =>
    readdirSync(join(here, group))
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => join(here, group, name)),
  );
  if ((groups.includes("page") || groups.includes("shots")) && !process.env.QUICKWATER_URL)
    await page_built();
  await bundle(files);
  const built = files.map((file) =>
    join(out, file.slice(here.length + 1).replace(/\.ts$/, ".mjs")),
  );
  run(process.execPath, ["--enable-source-maps", "--test", "--test-concurrency=1", ...built]);
}
