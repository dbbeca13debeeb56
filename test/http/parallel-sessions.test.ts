import { describe, expect, it } from "vitest";
import { messagesOf, startModel } from "../support/agent.ts";
import { merged, messagesIn, newSession, openStream, readEvents, say, spawnConfigured } from "../support/completions.ts";
import { until } from "../support/until.ts";

describe("sessions at a time", { timeout: 120_000 }, () => {
  it("do not hear of each other: 20 of them, five turns each", async () => {
    // The model says again all that it was sent.
    const model = await startModel((request) =>
      messagesOf(request)
        .map(({ role, content }) => `${role[0]}:${String(content)}`)
        .join(" | "),
    );
    const http = await spawnConfigured({ model });
    const ids = await Promise.all(Array.from({ length: 20 }, () => newSession(http)));
    const wrong: string[] = [];
    await Promise.all(
      ids.map(async (id, session) => {
        const history: string[] = [];
        for (let turn = 0; turn < 5; turn++) {
          const prompt = `s${session} t${turn}`;
          const expected = [...history, `u:${prompt}`].join(" | ");
          if ((session + turn) % 2 === 0) {
            const { body } = await say(http, id, prompt);
            if (body.final_message !== expected || body.session_id !== id) wrong.push(`${prompt}: ${JSON.stringify(body)}`);
          } else {
            const events = merged(await readEvents(http, `/v1/sessions/${id}/completions`, { prompt }));
            const [started, said, finished] = events;
            const isRight = started?.[1].session_id === id && said?.[1].text === expected && finished?.[0] === "finished" && events.length === 3;
            if (!isRight) wrong.push(`${prompt}: ${JSON.stringify(events)}`);
          }
          history.push(`u:${prompt}`, `a:${expected}`);
        }
      }),
    );
    expect(wrong).toEqual([]);
    for (const [session, id] of ids.entries()) {
      const users = (await messagesIn(http, id)).filter(({ role }) => role === "user").map(({ content }) => content);
      expect(users).toEqual(Array.from({ length: 5 }, (_, turn) => `s${session} t${turn}`));
    }
  });

  it("take prompts side by side and answer them one after the other: ten prompts, a hundred times", { timeout: 240_000 }, async () => {
    const http = await spawnConfigured();
    for (let round = 0; round < 100; round++) {
      const id = await newSession(http, { model: "echo:any" });
      const prompts = Array.from({ length: 10 }, (_, index) => `r${round} p${index}`);
      const answers = await Promise.all(prompts.map((prompt) => say(http, id, prompt)));
      expect(answers.map(({ status, body }) => `${status} ${body.final_message}`)).toEqual(prompts.map((prompt) => `200 ${prompt}`));
      const kept = await messagesIn(http, id);
      const pairs = kept.flatMap((message, index) => (index % 2 === 0 ? [[message, kept[index + 1]] as const] : []));
      expect(pairs.map(([user, assistant]) => `${user.role} ${assistant?.role}`)).toEqual(prompts.map(() => "user assistant"));
      expect(pairs.filter(([user, assistant]) => user.content !== assistant?.content)).toEqual([]);
      expect(pairs.map(([{ content }]) => content).toSorted()).toEqual(prompts.toSorted());
    }
  });

  it("send the model nothing but pairs, whoever was first", async () => {
    const model = await startModel((request) => String(messagesOf(request).at(-1)?.content));
    const http = await spawnConfigured({ model });
    const id = await newSession(http);
    await Promise.all(Array.from({ length: 10 }, (_, index) => say(http, id, `p${index}`)));
    const asked = model.requests.map((request) => messagesOf(request));
    expect(asked.map((messages) => messages.length)).toEqual([1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    for (const messages of asked) {
      expect(messages.map(({ role }) => role)).toEqual(messages.map((_, index) => (index % 2 === 0 ? "user" : "assistant")));
      for (const [index, { role, content }] of messages.entries()) if (role === "assistant") expect(content).toBe(messages[index - 1]?.content);
    }
  });

  it("that were waiting behind a turn go on when its client leaves", async () => {
    const model = await startModel(async (request) => (messagesOf(request).at(-1)?.content === "hang" ? undefined : "Hello."));
    const http = await spawnConfigured({ model });
    const id = await newSession(http);
    const { request } = await openStream(http, `/v1/sessions/${id}/completions`, { prompt: "hang" });
    await model.nextRequest();
    const waiting = say(http, id, "Hi");
    const gone = http.open("POST", `/v1/sessions/${id}/completions`, { body: { prompt: "never mind" } });
    await until(async () => (await messagesIn(http, id)).length === 3 || undefined, "both prompts to be taken");
    gone.destroy();
    request.destroy();
    expect(await waiting).toMatchObject({ status: 200, body: { final_message: "Hello." } });
  });
});
