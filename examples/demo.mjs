// Talks to a sidecar the way a desktop shell does: streams an answer, restarts, and finds it again.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "steerable-sidecar/client";

const folder = await mkdtemp(join(tmpdir(), "sidecar-demo-"));
const options = { storagePath: join(folder, "sidecar.db"), logLevel: "ERROR" };
let sidecar;

try {
  sidecar = await spawn(options);
  const { name, version, runtime } = await sidecar.info();
  console.log(`${name} ${version} runs on ${runtime.name} ${runtime.version} as process ${sidecar.pid}\n`);

  const session = await sidecar.sessions.create({ chatId: "demo" });
  const question = "Hello! Please say this back to me, word by word.";
  console.log(`you   ${question}`);

  const stream = sidecar.stream({ provider: "echo", sessionId: session.sessionId, messages: [{ role: "user", content: question }] });
  process.stdout.write("echo  ");
  for await (const { delta } of stream) process.stdout.write(delta ?? "");
  const { finishReason, usage, traceId } = await stream.done;
  console.log(`\n      (${finishReason}, ${usage.totalTokens} tokens)\n`);

  const stopped = await sidecar.stop();
  console.log(`stopped by ${stopped.how}, exit code ${stopped.code}`);
  sidecar = await spawn(options);
  console.log(`started again as process ${sidecar.pid}\n`);

  await sidecar.sessions.resume(session.sessionId);
  const { messages } = await sidecar.sessions.get(session.sessionId);
  console.log(`session ${session.sessionId} still has ${messages.length} messages:`);
  for (const { role, content } of messages) console.log(`  ${role.padEnd(9)} ${content}`);
  check(messages.length === 2 && messages[1].content === question, "the answer was not stored");

  const { trace, spans } = await sidecar.traces.fetch(traceId);
  console.log(`\ntrace ${traceId}: ${trace.status} in ${trace.durationMs} ms, ${trace.eventCount} events`);
  for (const span of spans) console.log(`  ${span.name} ${span.status} in ${span.durationMs} ms`);
  check(trace.status === "completed" && spans.length > 0, "the trace of the turn is not complete");
} catch (error) {
  console.error(`\nThe demo failed: ${error.message}`);
  process.exitCode = 1;
} finally {
  await sidecar?.stop();
  await rm(folder, { recursive: true, force: true });
}

function check(condition, complaint) {
  if (!condition) throw new Error(complaint);
}
