import { describe, expect, it } from "vitest";
import { rawRoutes, routes } from "../../src/contract/http/index.ts";
import { isThere, openPage, program } from "../support/browser.ts";
import { spawnHttp } from "../support/http.ts";

describe("the browser that the page is tested with", () => {
  it.runIf(process.env["CI"] !== undefined)("is there", () => {
    expect(isThere, `no Chromium at ${program}; install it or name it in CHROMIUM`).toBe(true);
  });
});

describe.runIf(isThere)("GET /docs in a browser", { timeout: 90_000 }, () => {
  it("shows every operation, says nothing on the console, and asks nobody else", async () => {
    const { page, complaints, asked, url } = await openDocs();
    expect(await page.title()).toContain("steerable-sidecar");
    expect(await page.locator(".surface .op").count()).toBe(routes.length + Object.keys(rawRoutes).length);
    await page.locator("#postV1Completions > summary").click();
    expect(await page.locator("#postV1Completions").innerText()).toContain(`curl ${url}/v1/completions`);
    expect(complaints).toEqual([]);
    expect(asked).toEqual([`${url}/docs`]);
  });

  it("narrows the operations to what is typed, and opens what a link points to", async () => {
    const { page } = await openDocs();
    await page.keyboard.press("/");
    await page.keyboard.type("dispatch POST");
    const visible = page.locator(".surface .op:visible");
    const paths = await visible.locator(".path").allInnerTexts();
    expect(paths.length).toBeGreaterThan(0);
    expect(paths.filter((path) => !path.includes("/dispatch"))).toEqual([]);
    expect(await page.locator("#found").innerText()).toBe(`${paths.length} operations`);
    await page.keyboard.press("Escape");
    expect(await visible.count()).toBe(await page.locator(".surface .op").count());
    await page.locator("nav a[href='#getV1Sessions']").click();
    await page.locator("#getV1Sessions[open]").waitFor();
    expect(await page.locator("#getV1Sessions .body").isVisible()).toBe(true);
  });

  it("copies a command", async () => {
    const { page, context, url } = await openDocs();
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: url });
    await page.locator("#getV1Info > summary").click();
    // It says so for two seconds only, so it is listened to from before.
    const said = page.evaluate(`new Promise((resolve) => {
      const button = document.querySelector("#getV1Info .copy");
      new MutationObserver(() => resolve(button.textContent)).observe(button, { childList: true, characterData: true, subtree: true });
    })`);
    await page.locator("#getV1Info .copy").click();
    expect(await said).toBe("Copied");
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(`curl ${url}/v1/info \\\n  -H "Authorization: Bearer $KEY"`);
  });

  it("can be read without its script, on a phone, by day and by night", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, complaints } = await openDocs({ javaScriptEnabled: false, viewport: { width: 360, height: 740 }, colorScheme });
      await page.locator("#postV1SessionsByIdCompletions > summary").click();
      const section = page.locator("#postV1SessionsByIdCompletions .body");
      expect(await section.isVisible()).toBe(true);
      const { width = 0 } = (await section.boundingBox()) ?? {};
      expect(width).toBeGreaterThan(300);
      expect(width).toBeLessThanOrEqual(360);
      expect(complaints).toEqual([]);
    }
  });
});

/** The page of a sidecar of its own. */
async function openDocs(options: Parameters<typeof openPage>[0] = {}) {
  const { url } = await spawnHttp();
  const opened = await openPage(options);
  const response = await opened.page.goto(`${url}/docs`);
  expect(response?.status()).toBe(200);
  expect(response?.headers()["content-security-policy"]).toContain("default-src 'none'");
  return { ...opened, url };
}
