// The mock server to look at by hand. PORT, SERIES, LIVED_S, TICK_MS, MODE=replay, TROUBLE=1.
import { MockServer } from "./mock/server.ts";
import { World } from "./mock/world.ts";

const env = process.env;
const world = new World({
  series: Number(env.SERIES ?? 28),
  lived_s: Number(env.LIVED_S ?? 400),
  mode: env.MODE === "replay" ? "replay" : "live",
  rows_per_step: env.MODE === "replay" ? 5 : 1,
  trouble: env.TROUBLE === "1",
});
const server = new MockServer(world, env.QUICKWATER_PAGE_DIST!);
const url = await server.start(Number(env.TICK_MS ?? 1000), Number(env.PORT ?? 8081));
process.stdout.write(`${url}\n`);
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => void server.stop().then(() => process.exit(0)));
