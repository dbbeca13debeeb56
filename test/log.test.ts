import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLog, LOG_LEVELS, type LogLevel, stderrSink } from "../src/log.ts";
import { MASK, registerSecret } from "../src/redact.ts";

function capture(level: LogLevel = "DEBUG") {
  const lines: string[] = [];
  const log = createLog({ level, write: (line) => lines.push(line), now: () => 0 });
  return {
    log,
    lines,
    async records() {
      await log.flush();
      return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
  };
}

describe("the log", () => {
  it("writes one JSON line for each record: level, time, fields, msg", async () => {
    const { log, lines } = capture();
    log.warn({ ms: 12, provider: "openai" }, "provider slow");
    await log.flush();
    expect(lines).toEqual(['{"level":"WARNING","time":"1970-01-01T00:00:00.000Z","ms":12,"provider":"openai","msg":"provider slow"}\n']);
  });

  it("names the levels as the flags do, and keeps the order of records made while it was loading", async () => {
    const { log, records } = capture();
    log.debug({}, "1");
    log.info({}, "2");
    await log.flush();
    log.warn({}, "3");
    log.error({}, "4");
    expect((await records()).map(({ level, msg }) => `${level} ${msg}`)).toEqual(["DEBUG 1", "INFO 2", "WARNING 3", "ERROR 4"]);
  });

  it.each(LOG_LEVELS)("at %s leaves out what is below it, and follows a change", async (level) => {
    const { log, records } = capture(level);
    const all = () => {
      log.debug({}, "DEBUG");
      log.info({}, "INFO");
      log.warn({}, "WARNING");
      log.error({}, "ERROR");
    };
    all();
    log.setLevel("ERROR");
    expect(log.level).toBe("ERROR");
    all();
    const passing = LOG_LEVELS.slice(LOG_LEVELS.indexOf(level));
    expect((await records()).map((record) => record.msg)).toEqual([...passing, "ERROR"]);
  });

  it("logs errors as their message, and with a stack at DEBUG only", async () => {
    const quiet = capture("INFO");
    quiet.log.error({ error: new Error("boom") }, "failed");
    expect(await quiet.records()).toEqual([{ level: "ERROR", time: "1970-01-01T00:00:00.000Z", error: "boom", msg: "failed" }]);
    const loud = capture("DEBUG");
    loud.log.error({ error: new Error("boom"), inner: { error: new Error("deep") } }, "failed");
    const [record] = await loud.records();
    expect(record).toMatchObject({ error: "boom", inner: { error: "deep" } });
    expect(record?.errorStack).toMatch(/^Error: boom\n\s+at /);
  });

  it("masks secrets in fields, messages, stacks and nested JSON text", async () => {
    const secret = 'top "secret" \\ value';
    registerSecret(secret);
    const { log, lines } = capture();
    log.info(
      { apiKey: "k", note: secret, body: JSON.stringify({ a: JSON.stringify({ b: secret }) }), error: new Error(secret), [secret]: 1, list: [{ token: "t" }] },
      `with ${secret}`,
    );
    await log.flush();
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain("top ");
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ apiKey: MASK, note: MASK, error: MASK, [MASK]: MASK, list: [{ token: MASK }], msg: `with ${MASK}` });
  });

  it("withholds a record whose form a secret would break", async () => {
    registerSecret("424242424242");
    const { log, lines, records } = capture();
    log.info({ count: 424242424242 }, "counted");
    expect((await records())[0]).toEqual({ level: "INFO", time: "1970-01-01T00:00:00.000Z", msg: "log record withheld: a secret could not be masked in it" });
    expect(lines.join("")).not.toContain("4242");
  });

  it("does not let fields pass for its own keys", async () => {
    const { log, lines, records } = capture();
    log.info({ level: "x", time: "y", msg: "z" }, "real");
    expect(await records()).toEqual([{ level: "INFO", time: "1970-01-01T00:00:00.000Z", level_: "x", time_: "y", msg_: "z", msg: "real" }]);
    expect(lines[0]?.match(/"msg":/g)).toHaveLength(1);
  });

  it("takes a copy: what the caller changes later is not logged", async () => {
    const { log, records } = capture();
    const fields = { list: [1] };
    log.info(fields, "m");
    fields.list.push(2);
    expect((await records())[0]?.list).toEqual([1]);
  });

  it("shortens what is very long, and stays on one line", async () => {
    const { log, lines, records } = capture();
    log.info({ body: "x".repeat(1_000_000), small: "kept" }, "a\nb\r\u2028 %s %d");
    log.info({}, "y".repeat(1_000_000));
    const [first, second] = await records();
    expect(first).toMatchObject({ small: "kept", msg: "a\nb\r\u2028 %s %d" });
    expect(first?.body).toContain("(1000000 characters)");
    expect(String(second?.msg)).toHaveLength(1000);
    for (const line of lines) {
      expect(line.length).toBeLessThan(70_000);
      expect(line.indexOf("\n")).toBe(line.length - 1);
    }
  });

  it("never writes a line that could pass for the ready marker", async () => {
    const { log, lines } = capture();
    log.info({}, '__SIDECAR_READY__:{"status":"ok"}');
    log.info({ "__SIDECAR_READY__:": "x" }, "\n__SIDECAR_READY__:");
    await log.flush();
    for (const text of lines) for (const line of text.split("\n")) expect(line.startsWith("__SIDECAR_READY__:")).toBe(false);
  });

  it("survives fields that cannot be read", async () => {
    const { log, records } = capture();
    const knot: Record<string, unknown> = {};
    knot.self = knot;
    log.info({ knot, big: 1n, throwing: { toJSON: () => JSON.parse("{") } }, "m");
    expect((await records())[0]).toMatchObject({ knot: { self: "[circular]" }, big: "1", throwing: "[unreadable]" });
  });

  it("holds a bounded number of records while it loads, and says how many were lost", async () => {
    const { log, records } = capture();
    for (let i = 0; i < 1500; i++) log.info({ i }, "m");
    const all = await records();
    expect(all).toHaveLength(1025);
    expect(all.at(-1)).toMatchObject({ level: "WARNING", dropped: 476 });
  });
});

describe("the way to stderr", () => {
  /** A real pipe to a process that reads only when it is told to, and says how much it read at the end. */
  function pipeToReader() {
    const script = `
      const chunks = [];
      process.on("message", () => process.stdin.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
        process.send(Buffer.concat(chunks).toString(), () => process.disconnect());
      }));`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "ignore", "inherit", "ipc"] });
    if (child.stdin === null) throw new Error("no pipe");
    return { child, pipe: child.stdin };
  }

  async function drained(child: ChildProcess, pipe: Writable): Promise<string[]> {
    const read = once(child, "message");
    pipe.end();
    const [text] = (await read) as [string];
    return text.trimEnd().split("\n");
  }

  it("drops and counts while nobody reads, and tells once when somebody does", async () => {
    const { child, pipe } = pipeToReader();
    const sink = stderrSink(pipe, () => 0);
    const line = `${JSON.stringify({ text: "x".repeat(1000) })}\n`;
    const written = 5000;
    for (let i = 0; i < written; i++) {
      sink.write(line);
      expect(pipe.writableLength).toBeLessThan(256 * 1024 + 2 * line.length);
    }
    const emptied = once(pipe, "drain");
    child.send("read");
    await emptied;
    sink.write('{"text":"after"}\n');
    const lines = await drained(child, pipe);
    const reports = lines.filter((text) => text.includes("dropped"));
    expect(reports).toHaveLength(1);
    const report = JSON.parse(reports[0] ?? "") as { dropped: number };
    expect(report).toEqual({
      level: "WARNING",
      time: "1970-01-01T00:00:00.000Z",
      dropped: expect.any(Number),
      msg: "log records dropped: stderr was not read",
    });
    // Every line was either delivered or counted.
    expect(lines.filter((text) => text.includes("xxx")).length + report.dropped).toBe(written);
    expect(lines.at(-1)).toBe('{"text":"after"}');
    expect(lines.indexOf(reports[0] ?? "")).toBe(lines.length - 2);
  });

  it("tells what was dropped as soon as it is read, without waiting for another record", async () => {
    const { child, pipe } = pipeToReader();
    const sink = stderrSink(pipe);
    for (let i = 0; i < 2000; i++) sink.write(`${"x".repeat(1000)}\n`);
    const emptied = once(pipe, "drain");
    child.send("read");
    await emptied;
    const lines = await drained(child, pipe);
    expect(lines.at(-1)).toContain('"msg":"log records dropped: stderr was not read"');
  });

  it("tells a slow reader once, not once for each line", async () => {
    const texts: string[] = [];
    const taken: (() => void)[] = [];
    const slow = new Writable({
      write(chunk: Buffer, _encoding, done) {
        texts.push(chunk.toString());
        taken.push(done);
      },
    });
    const sink = stderrSink(slow);
    for (let i = 0; i < 300; i++) sink.write("x".repeat(1023));
    const takeOne = async () => {
      taken.shift()?.();
      await new Promise((resolve) => process.nextTick(resolve));
    };
    // One line out, two lines in: there is always room for one of them, never for both.
    for (let i = 0; i < 100; i++) {
      await takeOne();
      sink.write("y".repeat(1023));
      sink.write("z".repeat(1023));
    }
    while (taken.length > 0) await takeOne();
    const reports = texts.filter((text) => text.includes("dropped"));
    expect(reports).toHaveLength(1);
    expect(texts.length - 1 + Number(/"dropped":(\d+)/.exec(reports[0] ?? "")?.[1])).toBe(500);
  });

  it("goes on when the reader has gone", async () => {
    const { child, pipe } = pipeToReader();
    const sink = stderrSink(pipe);
    child.kill("SIGKILL");
    await once(child, "exit");
    const closed = once(pipe, "close").catch(() => undefined);
    sink.write("{}\n");
    await closed;
    expect(() => sink.write("{}\n")).not.toThrow();
    expect(pipe.writableLength).toBe(0);
  });
});

describe("a process whose stderr nobody reads", () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  let folder = "";

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), "sidecar-log-"));
    const entry = path.join(folder, "entry.ts");
    writeFileSync(
      entry,
      `import { createLog, stderrSink } from ${JSON.stringify(path.join(root, "src/log.ts"))};
       const log = createLog({ level: "INFO", write: stderrSink(process.stderr).write });
       for (let round = 0; round < 20; round++) {
         for (let i = 0; i < 500; i++) log.info({ text: "x".repeat(1000) }, "m");
         await log.flush();
         await new Promise((resolve) => setImmediate(resolve));
       }
       process.stdout.write("done " + process.stderr.writableLength, () => process.exit(0));`,
    );
    await build({ input: entry, platform: "node", output: { file: path.join(folder, "out.mjs"), format: "esm", codeSplitting: false }, logLevel: "silent" });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Runs it to its end; `close` shuts the reading end of its stderr at once. */
  async function run({ close }: { close: boolean }): Promise<{ code: number | null; text: string }> {
    const child = spawn(process.execPath, [path.join(folder, "out.mjs")], { stdio: ["ignore", "pipe", "pipe"] });
    if (close) child.stderr.destroy();
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    // Ends a child that hangs, so that the test fails instead of waiting.
    const guard = setTimeout(() => child.kill("SIGKILL"), 50_000);
    const [[code]] = await Promise.all([once(child, "exit") as Promise<[number | null]>, once(child.stdout, "end")]);
    clearTimeout(guard);
    return { code, text: Buffer.concat(chunks).toString() };
  }

  it("does its work to the end, and keeps little of what it could not write", async () => {
    const { code, text } = await run({ close: false });
    expect(text).toMatch(/^done \d+$/);
    expect(code).toBe(0);
    expect(Number(text.slice(5))).toBeGreaterThan(0);
    expect(Number(text.slice(5))).toBeLessThan(350 * 1024);
  });

  it("does its work to the end when stderr is closed", async () => {
    expect(await run({ close: true })).toEqual({ code: 0, text: "done 0" });
  });
});
