import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { Config, pathKeys, startOnlyKeys } from "../../src/contract/config.ts";
import { defaults } from "../../src/contract/defaults.ts";
import { WireError } from "../../src/errors.ts";
import { MASK, redactText } from "../../src/redact.ts";
import { variableOf } from "../../src/runtime/config/environment.ts";
import { valueAt } from "../../src/runtime/config/layers.ts";
import { leaves } from "../../src/runtime/config/schema.ts";
import { ConfigError, type ConfigSource, loadConfig } from "../../src/runtime/config.ts";
import { VERSION } from "../../src/version.ts";

let folder = "";
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "sidecar-config-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A configuration file with this text, in a folder of its own. */
function file(text: string | Uint8Array): string {
  const own = path.join(folder, `case-${count++}`);
  mkdirSync(own);
  writeFileSync(path.join(own, "sidecar.yaml"), text);
  return path.join(own, "sidecar.yaml");
}

function load({ yaml, ...source }: Partial<ConfigSource> & { yaml?: string } = {}) {
  const flags = { ...source.flags, ...(yaml === undefined ? {} : { config: file(yaml) }) };
  return loadConfig({ env: {}, cwd: "/work-folder", platform: "linux", home: () => "/home/ann", ...source, flags });
}

async function errorOf(source: Parameters<typeof load>[0]): Promise<string> {
  const error: unknown = await load(source).then(
    () => new Error("accepted"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw error;
  expect(error.message).not.toMatch(/[\n\r]/);
  return error.message;
}

function refusal(call: () => void): WireError {
  try {
    call();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error("accepted");
}

describe("the schema's keys", () => {
  it("names only keys that exist as paths and as start-only", () => {
    const known = [...leaves.map((leaf) => leaf.path.join(".")), "tools.roots"];
    for (const key of pathKeys) expect(known).toContain(key);
    for (const key of startOnlyKeys) expect(Object.keys(Config.shape)).toContain(key);
  });

  it("gives every key with a single value a variable of its own", () => {
    const names = leaves.map((leaf) => variableOf(leaf.path));
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(
      expect.arrayContaining([
        "STEERABLE_LOG_LEVEL",
        "STEERABLE_STORAGE_PATH",
        "STEERABLE_LIMITS_FRAME_BYTES",
        "STEERABLE_PROVIDERS_OPENAI_API_KEY",
        "STEERABLE_PROVIDERS_ANTHROPIC_RETRY_BASE_MS",
        "STEERABLE_TRACE_EVENTS",
      ]),
    );
  });
});

describe("the layers", () => {
  it("are the defaults when nobody says anything", async () => {
    const config = await load();
    expect(config.current).toEqual(Config.parse({}));
    expect(config.current.limits).toEqual(defaults.limits);
    expect(config.warnings).toEqual([]);
  });

  it("go over one another: file, environment, flags, set", async () => {
    const yaml = "logLevel: DEBUG\ngracePeriodSeconds: 1\ntrace:\n  keep: 11\n  events: true\nlimits: { depth: 9 }\n";
    expect((await load({ yaml })).current).toMatchObject({
      logLevel: "DEBUG",
      gracePeriodSeconds: 1,
      trace: { keep: 11, events: true },
      limits: { depth: 9, inFlight: 10_000 },
    });
    const env = { STEERABLE_LOG_LEVEL: "WARNING", STEERABLE_TRACE_KEEP: "22" };
    expect((await load({ yaml, env })).current).toMatchObject({ logLevel: "WARNING", gracePeriodSeconds: 1, trace: { keep: 22, events: true } });
    const config = await load({ yaml, env, flags: { logLevel: "ERROR" } });
    expect(config.current).toMatchObject({ logLevel: "ERROR", trace: { keep: 22 } });
    config.set({ logLevel: "INFO", trace: { keep: 33 } });
    expect(config.current).toMatchObject({ logLevel: "INFO", gracePeriodSeconds: 1, trace: { keep: 33, events: true } });
  });

  it("resolve relative paths where they were written", async () => {
    const yaml = "storagePath: data/a.db\ntools: { roots: [., /abs, ../up] }\nproviders: { scripted: { script: s.json } }\n";
    const config = await load({ flags: { config: file(yaml) } });
    const own = path.join(folder, `case-${count - 1}`);
    expect(config.current.storagePath).toBe(path.join(own, "data/a.db"));
    expect(config.current.tools.roots).toEqual([own, "/abs", path.join(folder, "up")]);
    expect(config.current.providers.scripted.script).toBe(path.join(own, "s.json"));
    expect((await load({ env: { STEERABLE_STORAGE_PATH: "e.db" } })).current.storagePath).toBe("/work-folder/e.db");
    expect((await load({ flags: { storagePath: "f.db" } })).storagePath()).toBe("/work-folder/f.db");
    expect((await load({ flags: { storagePath: ":memory:" } })).storagePath()).toBe(":memory:");
    config.set({ tools: { roots: ["later"] } });
    expect(config.current.tools.roots).toEqual(["/work-folder/later"]);
  });

  it("find a configuration file that is named relative to the working directory", async () => {
    const config = await load({ cwd: path.dirname(file("logLevel: ERROR")), flags: { config: "sidecar.yaml" } });
    expect(config.current.logLevel).toBe("ERROR");
  });
});

describe("the configuration file", () => {
  it.each(["", "# nothing\n", "---\n", "limits:\n  # depth: 3\n", "\uFEFFlogLevel: INFO\r\n"])("may say nothing: %j", async (yaml) => {
    expect((await load({ yaml })).current).toEqual(Config.parse({}));
  });

  it("repeats anchored parts", async () => {
    const config = await load({ yaml: "providers:\n  openai: &p { model: m, retry: { attempts: 2 } }\n  anthropic: *p\n" });
    expect(config.current.providers.anthropic).toMatchObject({ model: "m", retry: { attempts: 2 } });
  });

  it.each([
    ["logLevl: INFO", "line 1, column 1: logLevl: unknown key, did you mean logLevel?"],
    ["logLevel: INFO\ntrace:\n  event: true", "line 3, column 3: trace.event: unknown key, did you mean trace.events?"],
    ["apiKey: hunter2hunter2", "line 1, column 1: apiKey: unknown key, did you mean providers.openai.apiKey?"],
    ["completely: other", "line 1, column 1: completely: unknown key"],
    ["__proto__: { logLevel: INFO }", "line 1, column 1: __proto__: unknown key"],
    ["constructor: 1", "line 1, column 1: constructor: unknown key"],
    ["logLevel: LOUD", "line 1, column 1: logLevel: expected one of DEBUG, INFO, WARNING, ERROR"],
    ["trace:\n  events: yess", "line 2, column 3: trace.events: expected boolean, received string"],
    ["tools:\n  builtin:\n    - read_file\n    - rm", "line 4, column 7: tools.builtin.1: expected one of read_file, list_directory, get_time"],
    ["limits: 5", "line 1, column 1: limits: expected object, received number"],
    ["limits: { depth: 0 }", "line 1, column 11: limits.depth: too small: expected number to be >=1"],
    ["limits: { depth: 1.5 }", "line 1, column 11: limits.depth: expected a whole number"],
    ["gracePeriodSeconds: .inf", "line 1, column 1: gracePeriodSeconds: expected number, received Infinity"],
    ["providers: { openai: { baseUrl: ftp://x } }", "line 1, column 24: providers.openai.baseUrl: expected an http or https address"],
    ["- a\n- b", "line 1, column 1: expected keys with values (a mapping)"],
    ["just text", "line 1, column 1: expected keys with values (a mapping)"],
    ["logLevel: INFO\nlogLevel: DEBUG", "line 2, column 1: Map keys must be unique"],
    ["trace: { events: true", "line 1, column 22:"],
    ["logLevel: 'INFO", "line 1, column 16: Missing closing 'quote"],
    ["a: 1\n---\nb: 2", "line 2, column 1:"],
    ["? [a, b]\n: c", "line 1, column 3: With stringKeys, all keys must be strings"],
    ["apiKey: !hunter2 x", "line 1, column 9: tags (!name) are not supported"],
    ["apiKey: *hunter2", "an alias (*name) has no anchor (&name) before it"],
    ["apiKey: |hunter2\n  x", "line 1, column 10: Block scalar header includes extra characters"],
  ])("is refused with one line that says where: %j", async (yaml, message) => {
    const error = await errorOf({ yaml });
    expect(error).toContain(`configuration file ${folder}`);
    expect(error).toContain(message);
    expect(error).not.toContain("hunter2");
  });

  it("never shows a value in a complaint", async () => {
    const yaml = "providers:\n  openai:\n    apiKey: [a-very-private-value]\n    model: { x: a-very-private-value }\n    idleTimeoutMs: a-very-private-value\n";
    for (const text of [yaml, yaml.replace(/.*apiKey.*\n/, ""), yaml.replace(/.*(apiKey|model).*\n/g, ""), `${yaml}  "a-very-private-value`]) {
      expect(await errorOf({ yaml: text })).not.toContain("private-value");
    }
  });

  it("does not unfold a bomb of aliases", async () => {
    const bomb = [
      "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
      ...Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}*a${i}]`),
    ].join("\n");
    expect(await errorOf({ yaml: bomb })).toContain("too many aliases");
  });

  it("must be a readable file in UTF-8", async () => {
    expect(await errorOf({ flags: { config: "/no/such.yaml" } })).toBe("configuration file /no/such.yaml: cannot be read (there is no such file)");
    expect(await errorOf({ flags: { config: folder } })).toBe(`configuration file ${folder}: not a file`);
    expect(await errorOf({ flags: { config: "/dev/zero" } })).toBe("configuration file /dev/zero: not a file");
    expect(await errorOf({ flags: { config: file(new Uint8Array([0x61, 0x3a, 0xff])) } })).toContain("not a text in UTF-8");
    expect(await errorOf({ yaml: `# ${"x".repeat(5_000_000)}` })).toContain("longer than");
    expect(await errorOf({ flags: { config: "/no/two\nlines" } })).toContain("/no/two lines");
  });

  it.skipIf(process.getuid?.() === 0)("says so when it may not be read", async () => {
    const closed = file("");
    chmodSync(closed, 0);
    expect(await errorOf({ flags: { config: closed } })).toContain("permission denied");
  });

  it("fills {{NAME}} in from the environment", async () => {
    const yaml =
      'providers: { openai: { apiKey: "{{MY_KEY}}", baseUrl: "http://{{HOST}}:{{ PORT }}/v1" } }\ntools: { roots: ["{{ROOT}}/a", "{{NOWHERE}}"] }\ntrace: { events: "{{EVENTS}}", keep: "{{KEEP}}" }';
    const config = await load({ yaml, env: { MY_KEY: "k-123456", HOST: "box", PORT: "81", ROOT: "/r", EVENTS: "true", KEEP: "7" } });
    expect(config.current.providers.openai).toMatchObject({ apiKey: "k-123456", baseUrl: "http://box:81/v1" });
    expect(config.current.tools.roots).toEqual(["/r/a"]);
    expect(config.current.trace).toEqual({ events: true, keep: 7 });
    expect(config.warnings).toEqual(["tools.roots.1 is left out: the variable NOWHERE is not set"]);
  });

  it("leaves a key out whose variable is not set or empty, and warns by name only", async () => {
    const yaml = 'providers: { openai: { apiKey: "{{UNSET_KEY}}", model: "pre-{{SET}}-{{EMPTY}}" } }';
    const config = await load({ yaml, env: { SET: "some-value", EMPTY: "" } });
    expect(config.current).toEqual(Config.parse({}));
    expect(config.warnings).toEqual([
      "providers.openai.apiKey is left out: the variable UNSET_KEY is not set",
      "providers.openai.model is left out: the variable EMPTY is not set",
    ]);
  });

  it("says where a variable does not fit", async () => {
    const error = await errorOf({ yaml: 'trace:\n  keep: "{{KEEP}}"', env: { KEEP: "hunter2" } });
    expect(error).toContain("line 2, column 3: trace.keep: expected a number");
    expect(error).not.toContain("hunter2");
  });
});

describe("the environment", () => {
  it.each([
    ["STEERABLE_LOG_LEVEL", "debug", "logLevel", "DEBUG"],
    ["STEERABLE_GRACE_PERIOD_SECONDS", "2.5", "gracePeriodSeconds", 2.5],
    ["STEERABLE_LIMITS_FRAME_BYTES", "1024", "limits.frameBytes", 1024],
    ["STEERABLE_PROVIDERS_OPENAI_API_KEY", "12345678", "providers.openai.apiKey", "12345678"],
    ["STEERABLE_PROVIDERS_ANTHROPIC_BASE_URL", "http://127.0.0.1:1", "providers.anthropic.baseUrl", "http://127.0.0.1:1"],
    ["STEERABLE_TRACE_EVENTS", "TRUE", "trace.events", true],
    ["STEERABLE_TRACE_EVENTS", "0", "trace.events", false],
  ])("%s=%s sets %s", async (name, value, key, expected) => {
    const { current } = await load({ env: { [name]: value } });
    expect(valueAt(current, key.split("."))).toBe(expected);
  });

  it("reaches every key with a single value", async () => {
    const sample = { string: "http://127.0.0.1:9/x", number: "70000", boolean: "true" };
    const small = ["gracePeriodSeconds", "attempts", "depth", "parallel", "keepTurns", "shutdown_grace_seconds"];
    for (const { path: at, kind, options } of leaves) {
      const key = at.at(-1) ?? "";
      const value = key === "share" ? "0.5" : small.includes(key) ? "4" : kind === "enum" ? (options.at(-1) ?? "") : sample[kind];
      const { current } = await load({ env: { [variableOf(at)]: value } });
      expect(String(valueAt(current, at)), at.join(".")).toBe(at.join(".").match(/storagePath|script$/) ? path.resolve("/work-folder", value) : value);
    }
  });

  it.each([
    ["STEERABLE_LIMITS_DEPTH", "12x", "expected a number"],
    ["STEERABLE_LIMITS_DEPTH", "0x10", "expected a number"],
    ["STEERABLE_LIMITS_DEPTH", " 12", "expected a number"],
    ["STEERABLE_LIMITS_DEPTH", "1e3", "expected a number"],
    ["STEERABLE_LIMITS_DEPTH", "0", "too small: expected number to be >=1"],
    ["STEERABLE_LIMITS_DEPTH", "1.5", "expected a whole number"],
    ["STEERABLE_TRACE_EVENTS", "on", "expected true or false"],
    ["STEERABLE_LOG_LEVEL", "LOUD", "expected one of DEBUG, INFO, WARNING, ERROR"],
    ["STEERABLE_PROVIDERS_OPENAI_BASE_URL", "hunter2", "expected an http or https address"],
  ])("%s=%j is refused by the name of the variable", async (name, value, reason) => {
    expect(await errorOf({ env: { [name]: value } })).toBe(`the variable ${name} has a bad value: ${reason}`);
  });

  it("is read over a file that is right, and blamed for what it spoils", async () => {
    expect(await errorOf({ yaml: "limits: { depth: 5 }", env: { STEERABLE_LIMITS_DEPTH: "99999999" } })).toContain("STEERABLE_LIMITS_DEPTH");
  });

  it("warns of variables that belong to no key, and takes an empty one for unset", async () => {
    const config = await load({ env: { STEERABLE_SIDECAR_PYTHON: "/usr/bin/python3", STEERABLE_LOGLEVEL: "DEBUG", STEERABLE_TRACE_KEEP: "", OTHER: "x" } });
    expect(config.current).toEqual(Config.parse({}));
    expect(config.warnings).toEqual([
      "the variable STEERABLE_SIDECAR_PYTHON is ignored: it belongs to no key",
      "the variable STEERABLE_LOGLEVEL is ignored: it belongs to no key (did you mean STEERABLE_LOG_LEVEL?)",
    ]);
  });
});

describe("the default database", () => {
  const of = async (source: Partial<ConfigSource>) => (await load(source)).storagePath();

  it("lies in the per-user data directory of the platform", async () => {
    expect(await of({})).toBe("/home/ann/.local/share/steerable-sidecar/sidecar.db");
    expect(await of({ env: { XDG_DATA_HOME: "/xdg" } })).toBe("/xdg/steerable-sidecar/sidecar.db");
    expect(await of({ env: { XDG_DATA_HOME: "relative" } })).toBe("/home/ann/.local/share/steerable-sidecar/sidecar.db");
    expect(await of({ platform: "darwin", home: () => "/Users/ann" })).toBe("/Users/ann/Library/Application Support/steerable-sidecar/sidecar.db");
    expect(await of({ platform: "win32", env: { LOCALAPPDATA: "C:\\Data" } })).toBe("C:\\Data\\steerable-sidecar\\sidecar.db");
    expect(await of({ platform: "win32", home: () => "C:\\Users\\ann" })).toBe("C:\\Users\\ann\\AppData\\Local\\steerable-sidecar\\sidecar.db");
  });

  it("is missed only when it is needed, where the user has no home", async () => {
    const homeless = () => {
      throw new Error("ENOENT: no such user");
    };
    for (const home of [homeless, () => ""]) {
      const config = await load({ home });
      expect(config.effective()).not.toHaveProperty("storagePath");
      expect(refusal(() => config.storagePath())).toMatchObject({ errorName: "storage", message: expect.stringContaining("--storage-path") });
      config.set({ logLevel: "DEBUG" });
    }
  });
});

describe("config.get", () => {
  it("shows everything in force, with secrets masked", async () => {
    const config = await load({
      yaml: "providers: { openai: { apiKey: my-private-key, baseUrl: 'https://ann:pw@proxy.example/v1' } }",
      providerAliases: { anthropic: ["claude"] },
    });
    const shown = config.effective();
    expect(shown).toMatchObject({
      version: VERSION,
      protocolVersion: "0.1.0",
      logLevel: "INFO",
      gracePeriodSeconds: 5,
      storagePath: "/home/ann/.local/share/steerable-sidecar/sidecar.db",
      providers: {
        openai: { apiKey: MASK, baseUrl: `https://${MASK}@proxy.example/v1`, idleTimeoutMs: 120_000 },
        anthropic: { baseUrl: "https://api.anthropic.com" },
      },
      providerAliases: { anthropic: ["claude"] },
    });
    expect(shown).not.toHaveProperty("providers.anthropic.apiKey");
    expect(JSON.stringify(shown)).not.toMatch(/my-private-key|ann:pw/);
  });

  it("can be sent back as it is, without changing anything", async () => {
    const yaml = "providers: { openai: { apiKey: my-private-key, baseUrl: 'https://ann:pw@proxy.example/v1' } }\ntools: { roots: [a] }\nlimits: { depth: 7 }";
    const config = await load({ yaml, providerAliases: { anthropic: ["claude"] } });
    const before = structuredClone(config.current);
    const shown = config.effective();
    config.set(shown);
    expect(config.effective()).toEqual(shown);
    expect(config.current.providers.openai).toEqual(before.providers.openai);
    expect(config.current.limits).toEqual(before.limits);
  });

  it("gives a copy: what is done to it changes nothing", async () => {
    const config = await load({ yaml: "tools: { roots: [/a] }", providerAliases: { anthropic: ["claude"] } });
    const shown = config.effective() as { tools: { roots: string[] }; providerAliases: { anthropic: string[] } };
    shown.tools.roots.push("/b");
    shown.providerAliases.anthropic.push("b");
    expect(config.effective()).toMatchObject({ tools: { roots: ["/a"] }, providerAliases: { anthropic: ["claude"] } });
  });

  it("passes keys of every layer on to redaction", async () => {
    const config = await load({
      yaml: 'providers: { openai: { apiKey: key-from-the-file, model: "{{SOME_TOKEN}}" } }',
      env: { STEERABLE_PROVIDERS_ANTHROPIC_API_KEY: "key-from-a-variable", SOME_TOKEN: "token-by-name" },
    });
    config.set({ providers: { openai: { apiKey: "key-from-the-wire" } } });
    expect(redactText("key-from-the-file key-from-a-variable key-from-the-wire token-by-name")).toBe(`${MASK} ${MASK} ${MASK} ${MASK}`);
  });
});

const builtinNames = ["read_file", "list_directory", "get_time", "write_file", "edit_file", "search_files", "run_command", "fetch_url"];

describe("config.set", () => {
  it("tells its listeners, until they have enough", async () => {
    const config = await load();
    const listener = vi.fn<(current: Config, previous: Config) => void>();
    const stop = config.onChange(listener);
    config.set({ logLevel: "DEBUG" });
    expect(listener.mock.calls.map(([current, previous]) => [current.logLevel, previous.logLevel])).toEqual([["DEBUG", "INFO"]]);
    expect(() => config.set({ logLevel: "LOUD" })).toThrow();
    stop();
    config.set({ logLevel: "ERROR" });
    expect(listener).toHaveBeenCalledTimes(1);
  });

  it("takes back with null what an earlier call set, and only that", async () => {
    const config = await load({ yaml: "logLevel: WARNING\ntrace: { keep: 11 }" });
    config.set({ logLevel: "DEBUG", trace: { keep: 22, events: true }, gracePeriodSeconds: 1 });
    config.set({ logLevel: null, trace: { keep: null } });
    expect(config.current).toMatchObject({ logLevel: "WARNING", trace: { keep: 11, events: true }, gracePeriodSeconds: 1 });
    config.set({ trace: null, gracePeriodSeconds: null, providers: { openai: { model: null } }, storagePath: null, limits: { depth: null } });
    expect(config.current).toEqual((await load({ yaml: "logLevel: WARNING\ntrace: { keep: 11 }" })).current);
  });

  it("leaves a masked secret as it is, and takes a new one", async () => {
    const config = await load({ yaml: "providers: { openai: { apiKey: first-key } }" });
    config.set({ providers: { openai: { apiKey: MASK, model: "m" }, anthropic: { apiKey: MASK } } });
    expect(config.current.providers.openai).toMatchObject({ apiKey: "first-key", model: "m" });
    expect(config.current.providers.anthropic).not.toHaveProperty("apiKey");
    config.set({ providers: { openai: { apiKey: "second-key" } } });
    expect(config.current.providers.openai.apiKey).toBe("second-key");
  });

  it.each([
    [{ logLevel: "LOUD" }, { path: "logLevel", reason: "expected one of DEBUG, INFO, WARNING, ERROR" }],
    [{ trace: { evnts: true } }, { path: "trace.evnts", reason: "unknown key, did you mean trace.events?", nearest: "trace.events" }],
    [{ log_level: "INFO" }, { path: "log_level", reason: "unknown key, did you mean logLevel?", nearest: "logLevel" }],
    [{ quux: null }, { path: "quux", reason: "unknown key" }],
    [{ trace: [] }, { path: "trace", reason: "expected object, received array" }],
    [{ tools: { builtin: [null] } }, { path: "tools.builtin.0", reason: `expected one of ${builtinNames.join(", ")}` }],
    [{ tools: { roots: [""] } }, { path: "tools.roots.0", reason: "too small: expected string to have >=1 characters" }],
    [{ limits: { depth: 5 } }, { path: "limits.depth", reason: "can only be set at start" }],
    [{ limits: 5 }, { path: "limits", reason: "can only be set at start" }],
    [{ storagePath: "other.db" }, { path: "storagePath", reason: "can only be set at start" }],
    [{ storagePath: ":memory:" }, { path: "storagePath", reason: "can only be set at start" }],
    [{ gracePeriodSeconds: Number.POSITIVE_INFINITY }, { path: "gracePeriodSeconds", reason: "expected number, received Infinity" }],
    [{ logLevel: () => "DEBUG" }, { path: "", reason: "expected values of JSON only" }],
  ])("refuses %j by path and reason", async (partial, data) => {
    const config = await load();
    const error = refusal(() => config.set(partial));
    expect(error.errorName).toBe("invalid_params");
    expect(error.data).toEqual(data);
    expect(error.message).toContain(data.reason);
  });

  it("takes nothing when one of many values is bad", async () => {
    const config = await load();
    const before = config.current;
    refusal(() => config.set({ logLevel: "DEBUG", trace: { events: true, keep: -1 } }));
    refusal(() => config.set({ logLevel: "DEBUG", storagePath: "x" }));
    expect(config.current).toBe(before);
    config.set({ gracePeriodSeconds: 9 });
    expect(config.current).toEqual({ ...before, gracePeriodSeconds: 9 });
  });

  it("accepts a start-only key that says what holds", async () => {
    const config = await load({ flags: { storagePath: "x.db" } });
    config.set({ storagePath: "x.db", limits: { depth: defaults.limits.depth }, logLevel: "DEBUG" });
    config.set({ storagePath: "/work-folder/x.db" });
    expect(config.current.logLevel).toBe("DEBUG");
  });

  it("is not fooled by keys that every object has", async () => {
    const config = await load();
    for (const text of [
      '{"__proto__":{"polluted":1}}',
      '{"trace":{"__proto__":{"events":true}}}',
      '{"constructor":{"prototype":{"polluted":1}}}',
      '{"toString":null}',
    ]) {
      refusal(() => config.set(JSON.parse(text) as Record<string, unknown>));
    }
    expect({}).not.toHaveProperty("polluted");
    expect(config.current).toEqual(Config.parse({}));
  });

  it("keeps its own copy of what it was given", async () => {
    const config = await load();
    const roots = ["/a"];
    config.set({ tools: { roots } });
    roots.push("/b");
    config.set({ logLevel: "DEBUG" });
    expect(config.current.tools.roots).toEqual(["/a"]);
  });

  it("holds: whatever is set in whatever order, the result is valid and a refused call changes nothing", { timeout: 120_000 }, async () => {
    const scalar = fc.oneof(
      fc.constantFrom<unknown>("DEBUG", "ERROR", "LOUD", null, MASK, "", "/x", "http://127.0.0.1/", true, [], ["read_file"], ["/r"], {}, undefined),
      fc.integer({ min: -2, max: 100_000 }),
    );
    const keyPath = fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom(...leaves.map((leaf) => [...leaf.path]), ["tools", "roots"], ["tools", "builtin"]) },
      fc.constantFrom(["trace"], ["providers", "openai"], ["nope"], ["trace", "nope"], ["version"]),
    );
    const partial = fc.array(fc.tuple(keyPath, scalar), { maxLength: 4 }).map((entries) => {
      const out: Record<string, unknown> = {};
      for (const [at, value] of entries) {
        let node = out;
        for (const key of at.slice(0, -1)) {
          const under = node[key];
          const next: Record<string, unknown> = typeof under === "object" && under !== null && !Array.isArray(under) ? (under as Record<string, unknown>) : {};
          node[key] = next;
          node = next;
        }
        node[at.at(-1) ?? ""] = value;
      }
      return out;
    });
    const config = await load({ yaml: "trace: { keep: 5 }\nproviders: { openai: { apiKey: property-key } }" });
    const atStart = structuredClone(config.current);
    let taken = 0;
    let notTaken = 0;
    fc.assert(
      fc.property(fc.array(partial, { maxLength: 8 }), (calls) => {
        for (const call of calls) {
          const before = config.current;
          const shown = JSON.stringify(config.effective());
          try {
            config.set(call);
            taken++;
          } catch (error) {
            if (!(error instanceof WireError)) throw error;
            notTaken++;
            expect(config.current).toBe(before);
            expect(JSON.stringify(config.effective())).toBe(shown);
          }
          expect(Config.parse(config.current)).toEqual(config.current);
          expect(config.current.limits).toEqual(atStart.limits);
        }
        // Taking everything back leads to the start again.
        config.set(Object.fromEntries(Object.keys(Config.shape).map((key) => [key, null])));
        expect(config.current).toEqual(atStart);
      }),
      { numRuns: 300 },
    );
    expect(taken).toBeGreaterThan(50);
    expect(notTaken).toBeGreaterThan(50);
  });
});

describe("the contract", () => {
  it("imports no schema where the process starts", () => {
    // What main.ts loads before it is ready must stay free of zod.
    for (const name of ["flags", "log", "redact", "nearest", "version", "contract/defaults"]) {
      const text = readFileSync(new URL(`../../src/${name}.ts`, import.meta.url), "utf8");
      expect(text, name).not.toMatch(/from "(zod|pino|yaml)"/);
    }
  });
});
