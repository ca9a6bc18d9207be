// A real Chromium for the page's tests: found or skipped with the reason (never skipped in CI),
// watched for console errors and for requests to anything but the page's own origin.
import { existsSync } from "node:fs";
import {
  chromium,
  type Browser as Chromium,
  type BrowserContext,
  type Page,
} from "playwright-core";

const kFlags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const kPath = process.env.QUICKWATER_CHROMIUM ?? "/usr/bin/chromium";

// False, or why there can be no browser here.
export function no_browser(): string | false {
  if (existsSync(kPath)) return false;
  const why = `no Chromium at ${kPath}: install the package 'chromium', or set QUICKWATER_CHROMIUM`;
  if (process.env.CI === "true") throw new Error(why);
  return why;
}

export interface Look {
  width?: number;
  height?: number;
  dark?: boolean;
  scale?: number;
}

// One process for all tests of a file, with a folder of its own that is removed at the end; each test
// has a fresh profile in it.
let process_: Promise<Chromium> | null = null;

async function start(): Promise<Chromium> {
  process_ ??= chromium.launch({ executablePath: kPath, headless: true, args: kFlags });
  return process_;
}

// To be called after the last test of a file.
export async function end_browser(): Promise<void> {
  await (await process_)?.close();
  process_ = null;
}

export class Browser {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly problems: string[] = [];

  private constructor(context: BrowserContext, page: Page) {
    this.context = context;
    this.page = page;
  }

  static async open(url: string, look: Look = {}): Promise<Browser> {
    const context = await (
      await start()
    ).newContext({
      locale: "en-GB",
      timezoneId: "UTC",
      viewport: { width: look.width ?? 1280, height: look.height ?? 900 },
      deviceScaleFactor: look.scale ?? 1,
      colorScheme: look.dark ? "dark" : "light",
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const browser = new Browser(context, page);
    browser.watch(new URL(url).origin);
    await page.goto(url);
    return browser;
  }

  private watch(origin: string): void {
    this.page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning")
        this.problems.push(`console: ${message.text()}`);
    });
    this.page.on("pageerror", (error) =>
      this.problems.push(`page: ${error.stack ?? error.message}`),
    );
    this.page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !url.startsWith("data:"))
        this.problems.push(`request to ${url}`);
    });
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}
