import type { ChatMessage, StoredMessage, TurnStatus } from "../../contract/model.ts";
import { fail } from "../../errors.ts";
import { decodeCursor, encodeCursor } from "../cursor.ts";
import { noSuchMessage, sessionExists, turnExists, turnKeyExists } from "../failures.ts";
import { KEY_KEPT_MS } from "../idempotency.ts";
import { answerMessage, hasContent, messageId, pageLength, placeOf, toChatMessage, unknownOutcomeMessage } from "../messages.ts";
import type { Fork, History, KeptTurn, MessageBody, NewSummary, Page, TurnEnd, TurnStart, TurnStep } from "../store.ts";
import { jsonCopy, wellFormed } from "../text.ts";
import type { Mark, Session, Turn } from "./records.ts";
import { publicSession, type Sessions } from "./sessions.ts";
import type { Traces } from "./traces.ts";

export class Turns {
  private readonly sessions: Sessions;
  private readonly traces: Traces;
  private readonly now: () => number;
  private readonly turns = new Map<string, Turn>();
  /** By idempotency key, in the order in which they began. */
  private readonly marked = new Map<string, Turn>();
  private last = 0;

  constructor(sessions: Sessions, traces: Traces, now: () => number) {
    this.sessions = sessions;
    this.traces = traces;
    this.now = now;
  }

  begin(start: TurnStart): void {
    const session = start.sessionId === undefined ? undefined : this.sessions.getOpen(start.sessionId);
    this.free(start.turnId);
    const mark = start.idempotency === undefined ? undefined : this.newMark(start.idempotency);
    const turn = this.add(start.turnId, session, "running", { traceId: wellFormed(start.traceId), given: start.messages.length });
    if (mark !== undefined) this.marked.set(mark.key, turn);
    turn.mark = mark;
    this.traces.save({ owner: start.owner, trace: start.trace, spans: [], events: [] });
    if (session === undefined) return;
    for (const body of start.messages) this.put(turn, body, false);
    this.sessions.touch(session);
  }

  step(step: TurnStep): void {
    const turn = this.turns.get(wellFormed(step.turnId));
    if (turn === undefined || turn.status !== "running" || !isKept(turn)) return;
    for (const body of step.messages) this.put(turn, body, false);
    for (const callId of step.ended ?? []) turn.begun.delete(wellFormed(callId));
    for (const callId of step.begun ?? []) turn.begun.add(wellFormed(callId));
  }

  end(end: TurnEnd): void {
    const turn = this.turns.get(wellFormed(end.turnId));
    if (turn === undefined || !isKept(turn)) {
      if (turn !== undefined) this.turns.delete(turn.turnId);
      this.traces.end(end.trace);
      return;
    }
    if (turn.status !== "running") return;
    turn.status = end.ending.status;
    if (turn.mark !== undefined) turn.mark.ending = jsonCopy(end.ending);
    for (const callId of turn.begun) this.put(turn, unknownOutcomeMessage(callId), false);
    let { trace } = end.trace;
    if (end.answer !== undefined) {
      const answer = this.put(turn, answerMessage(end.answer), end.ending.status !== "completed");
      trace = { ...trace, assistantMessageId: messageId(turn.turnId, answer) };
    }
    this.traces.save({ ...end.trace, trace });
    if (turn.session !== undefined) this.sessions.touch(turn.session);
  }

  findByKey(key: string): KeptTurn | undefined {
    this.forgetOldMarks();
    const turn = this.marked.get(wellFormed(key));
    if (turn?.mark === undefined) return undefined;
    return {
      turnId: turn.turnId,
      streamId: turn.mark.streamId,
      sessionId: turn.session?.session.sessionId,
      traceId: turn.traceId,
      digest: turn.mark.digest,
      status: turn.status,
      ending: copyOf(turn.mark.ending),
      messages: turn.messages.filter(({ position }) => position >= turn.given).map((message) => toStoredMessage(turn, message)),
    };
  }

  /** Deletes all turns of a session, with their messages and summaries. */
  empty(session: Session): void {
    this.forget(session);
    session.turns.clear();
    session.summaries = [];
    this.sessions.touch(session);
  }

  /** Deletes those of a session that is gone. */
  forget(session: Session): void {
    for (const turn of session.turns.values()) {
      this.turns.delete(turn.turnId);
      if (turn.mark !== undefined) this.marked.delete(turn.mark.key);
    }
  }

  messages(sessionId: string, page: { limit: number; cursor?: string | undefined }): Page<StoredMessage> {
    const [afterTurn = 0, afterPosition = 0] = page.cursor === undefined ? [0, -1] : decodeCursor("m", page.cursor);
    const found: { place: number[]; message: StoredMessage }[] = [];
    for (const turn of this.sessions.get(sessionId).turns.values()) {
      if (turn.key < afterTurn || found.length > page.limit) continue;
      for (const message of turn.messages) {
        if (turn.key === afterTurn && message.position <= afterPosition) continue;
        found.push({ place: [turn.key, message.position], message: toStoredMessage(turn, message) });
      }
    }
    const length = pageLength(found.slice(0, page.limit).map(({ message }) => JSON.stringify(message).length));
    const last = found[length - 1];
    const items = found.slice(0, length).map(({ message }) => message);
    return { items, nextCursor: found.length > length && last !== undefined ? encodeCursor("m", last.place) : undefined };
  }

  history(sessionId: string, turnId: string | undefined): History {
    const { turns, summaries } = this.sessions.get(sessionId);
    const before = turnId === undefined ? [...turns.values()].find(({ status }) => status === "running") : this.turns.get(wellFormed(turnId));
    const until = before?.key ?? Number.POSITIVE_INFINITY;
    const summary = summaries.filter(({ turnKey }) => turnKey < until).toSorted((a, b) => b.turnKey - a.turnKey || b.position - a.position)[0];
    const after = summary ?? { turnKey: 0, position: 0 };
    const messages: History["messages"] = [];
    for (const turn of turns.values()) {
      if (turn.key < after.turnKey || turn.key >= until) continue;
      for (const { position, body } of turn.messages) {
        if ((turn.key === after.turnKey && position <= after.position) || !hasContent(body)) continue;
        const message: ChatMessage = jsonCopy(toChatMessage(body));
        messages.push({ messageId: messageId(turn.turnId, position), turnId: turn.turnId, message });
      }
    }
    return { summary: summary?.text, summarized: summary?.summarized ?? 0, system: copyOf(summary?.system), messages };
  }

  saveSummary(sessionId: string, { text, through, summarized, system }: NewSummary): void {
    const session = this.sessions.get(sessionId);
    const place = placeOf(wellFormed(through));
    const turn = place === undefined ? undefined : session.turns.get(place.turnId);
    if (place === undefined || turn?.messages[place.position] === undefined) throw noSuchMessage();
    const others = session.summaries.filter((known) => known.turnKey !== turn.key || known.position !== place.position);
    session.summaries = [...others, { turnKey: turn.key, position: place.position, text: wellFormed(text), summarized, system: copyOf(system) }];
  }

  fork({ from, throughTurnId, fields, newTurnId }: Fork, owner?: string): ReturnType<typeof publicSession> {
    const source = this.sessions.get(from);
    if (this.sessions.find(fields.sessionId) !== undefined) throw sessionExists();
    const last = throughTurnId === undefined ? Number.POSITIVE_INFINITY : source.turns.get(wellFormed(throughTurnId))?.key;
    if (last === undefined) throw fail("turn_not_found", { turnId: throughTurnId });
    const copied = [...source.turns.values()].filter((turn) => turn.status !== "running" && turn.key <= last).map((turn) => ({ turn, newId: newTurnId() }));
    for (const { newId } of copied) this.free(newId);
    if (new Set(copied.map(({ newId }) => newId)).size < copied.length) throw turnExists();
    this.sessions.upsert(fields, owner);
    const session = this.sessions.get(fields.sessionId);
    for (const { turn, newId } of copied) {
      const copy = this.add(newId, session, turn.status, turn);
      for (const { turnKey, ...summary } of source.summaries) if (turnKey === turn.key) session.summaries.push({ ...summary, turnKey: copy.key });
    }
    return publicSession(session);
  }

  /** What is in a message is never changed, so copies may share it. */
  private add(turnId: string, session: Session | undefined, status: TurnStatus, from: Pick<Turn, "traceId" | "given"> & Partial<Turn>): Turn {
    const turn: Turn = {
      key: ++this.last,
      turnId: wellFormed(turnId),
      traceId: from.traceId,
      session,
      status,
      given: from.given,
      messages: [...(from.messages ?? [])],
      begun: new Set(),
      mark: undefined,
    };
    this.turns.set(turn.turnId, turn);
    session?.turns.set(turn.turnId, turn);
    return turn;
  }

  /** Throws when a turn has this id. */
  private free(turnId: string): void {
    if (this.turns.has(wellFormed(turnId))) throw turnExists();
  }

  /** Where it was put. */
  private put(turn: Turn, body: MessageBody, partial: boolean): number {
    const first = turn.session === undefined ? turn.given : 0;
    const position = first + turn.messages.length;
    turn.messages.push({ position, body: jsonCopy(body), partial, createdAt: new Date(this.now()).toISOString() });
    return position;
  }

  private newMark({ key, digest, streamId }: NonNullable<TurnStart["idempotency"]>): Mark {
    this.forgetOldMarks();
    if (this.marked.has(wellFormed(key))) throw turnKeyExists();
    return { ...jsonCopy({ key, digest, streamId }), beganAt: this.now(), ending: undefined };
  }

  private forgetOldMarks(): void {
    const before = this.now() - KEY_KEPT_MS;
    for (const [key, turn] of this.marked) {
      if (turn.mark !== undefined && turn.mark.beganAt > before) break;
      turn.mark = undefined;
      this.marked.delete(key);
      if (turn.session === undefined && turn.status !== "running") this.turns.delete(turn.turnId);
    }
  }
}

/** Whether anything of it is kept beside its trace. */
function isKept(turn: Turn): boolean {
  return turn.session !== undefined || turn.mark !== undefined;
}

function copyOf<T>(value: T | undefined): T | undefined {
  return value === undefined ? undefined : jsonCopy(value);
}

function toStoredMessage(turn: Turn, { position, body, partial, createdAt }: Turn["messages"][number]): StoredMessage {
  return { messageId: messageId(turn.turnId, position), turnId: turn.turnId, turnStatus: turn.status, ...jsonCopy(body), partial, createdAt };
}
