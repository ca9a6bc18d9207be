// A real Chromium for the page's tests: found or skipped with the reason (never skipped in CI),
// watched for console errors and for requests to anything but the page's own origin.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";

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

const kPath = process.env.CHROMIUM ?? "/usr/bin/chromium";

// False, or why there can be no browser here.
export function no_browser(): string | false {
  if (existsSync(kPath)) return false;
  const why = `no Chromium at ${kPath}: install the package 'chromium', or set CHROMIUM`;
  if (process.env.CI === "true") throw new Error(why);
  return why;
}

export interface Look {
  width?: number;
  height?: number;
  dark?: boolean;
  scale?: number;
}

export class Browser {
  readonly context: BrowserContext;
  readonly page: Page;
  readonly problems: string[] = [];
  private readonly folder_: string;

  private constructor(context: BrowserContext, page: Page, folder: string) {
    this.context = context;
    this.page = page;
    this.folder_ = folder;
  }

  static async open(url: string, look: Look = {}): Promise<Browser> {
    const folder = mkdtempSync(join(tmpdir(), "quickwater-page-"));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: kPath,
      headless: true,
      args: kFlags,
      locale: "en-GB",
      timezoneId: "UTC",
      viewport: { width: look.width ?? 1280, height: look.height ?? 900 },
      deviceScaleFactor: look.scale ?? 1,
      colorScheme: look.dark ? "dark" : "light",
    });
    const page = context.pages()[0] ?? (await context.newPage());
    page.setDefaultTimeout(15_000);
    const browser = new Browser(context, page, folder);
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
    rmSync(this.folder_, { recursive: true, force: true });
  }
}
