import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findCredentials } from "../../../src/runtime/status/credentials.ts";
import { temporaryFolder } from "../../support/sidecar.ts";

describe("credentials", () => {
  it("are absent in an empty home, and where there is no home", async () => {
    const home = temporaryFolder();
    expect(await findCredentials({ HOME: home })).toEqual({ claude: false, gemini: false });
    expect(await findCredentials({ HOME: join(home, "nowhere") })).toEqual({ claude: false, gemini: false });
  });

  it("are there with the file of the one and the folder of the other", async () => {
    const home = temporaryFolder();
    mkdirSync(join(home, ".claude"));
    expect(await findCredentials({ HOME: home })).toEqual({ claude: false, gemini: false });
    writeFileSync(join(home, ".claude", ".credentials.json"), "{}");
    expect(await findCredentials({ HOME: home })).toEqual({ claude: true, gemini: false });
    mkdirSync(join(home, ".gemini"));
    expect(await findCredentials({ HOME: home })).toEqual({ claude: true, gemini: true });
  });

  it("are not a folder where a file should be, nor the other way round", async () => {
    const home = temporaryFolder();
    mkdirSync(join(home, ".claude", ".credentials.json"), { recursive: true });
    writeFileSync(join(home, ".gemini"), "");
    expect(await findCredentials({ HOME: home })).toEqual({ claude: false, gemini: false });
  });

  it("need not be readable: nobody reads them", async () => {
    const home = temporaryFolder();
    mkdirSync(join(home, ".claude"));
    writeFileSync(join(home, ".claude", ".credentials.json"), "{}", { mode: 0o000 });
    expect(await findCredentials({ HOME: home })).toMatchObject({ claude: true });
  });
});
