import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { onTestFinished } from "vitest";

/** Where the browser is, or should be. */
export const program = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
export const isThere = existsSync(program);

/** Longest wait for anything on a page; only a test that fails takes this long. */
const PATIENCE_MS = 30_000;

export interface OpenPage {
  page: Page;
  context: BrowserContext;
  /** What was said on the console, and errors that nobody has caught. */
  complaints: string[];
  /** Addresses that were asked. */
  asked: string[];
}

/** An empty page in a browser of its own, which ends with the test. */
export async function openPage(options: Parameters<typeof chromium.launchPersistentContext>[1] = {}): Promise<OpenPage> {
  const folder = await mkdtemp(join(tmpdir(), "browser-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: program,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    ...options,
  });
  onTestFinished(() => context.close());
  context.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  const asked: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => asked.push(request.url()));
  return { page, context, complaints, asked };
}

/** A site with one page. Gives its origin; closed with the test. */
export async function startSite(html: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(html);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
