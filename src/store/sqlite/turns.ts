import type { TurnStatus } from "../../contract/model.ts";
import { turnExists } from "../failures.ts";
import { answerMessage, INTERRUPTED_MESSAGE, messageId, unknownOutcomeMessage } from "../messages.ts";
import type { KeptTurn, TurnEnding } from "../store.ts";
import { fromColumn, toColumn, toJson } from "../text.ts";
import { type Connection, number, object, text } from "./connection.ts";
import type { Row } from "./driver.ts";
import { Effects } from "./effects.ts";
import { Fragments } from "./fragments.ts";
import type { Messages } from "./messages.ts";
import type { Sessions } from "./sessions.ts";
import type { NewEnd, NewStep, NewTurn } from "./snapshots.ts";
import type { Traces } from "./traces.ts";
import type { TurnKeys } from "./turn-keys.ts";

export interface TurnTables {
  connection: Connection;
  sessions: Sessions;
  messages: Messages;
  keys: TurnKeys;
  traces: Traces;
  now(): number;
}

/** Turns from their beginning to their end. Changes belong into a transaction. */
export class Turns {
  private readonly tables: TurnTables;
  private readonly effects: Effects;
  private readonly fragments: Fragments;

  constructor(tables: TurnTables) {
    this.tables = tables;
    this.effects = new Effects(tables.connection);
    this.fragments = new Fragments(tables.connection);
  }

  begin(start: NewTurn, owner: string): void {
    const { connection, sessions, messages, keys, traces, now } = this.tables;
    const sessionKey = start.sessionId === undefined ? null : sessions.openKey(start.sessionId);
    this.free(start.turnId);
    if (start.idempotency !== undefined) keys.free(start.idempotency.key);
    const turn = connection.get(
      "INSERT INTO turns (turn_id, session_key, status, owner, trace_id, given) VALUES (?, ?, 'running', ?, ?, ?) RETURNING turn_key",
      toColumn(start.turnId),
      sessionKey,
      owner,
      toColumn(start.traceId),
      start.bodies.length,
    );
    const turnKey = number(turn ?? {}, "turn_key");
    if (start.idempotency !== undefined) keys.add(turnKey, start.idempotency);
    traces.save({ owner: start.owner, trace: start.trace, spans: [], events: [] });
    // Nobody asks for what a turn outside a session was given.
    if (sessionKey === null) return;
    for (const [position, body] of start.bodies.entries()) messages.put({ turnKey, position }, body, false, now());
    sessions.touch(sessionKey);
  }

  /** Nothing happens when the turn is not running, or has nothing that it would be kept for. */
  append(turnId: string, part: { text: string; reasoning: string }): void {
    const turn = this.find(turnId);
    if (turn?.["status"] === "running" && this.isKept(turn)) this.fragments.add(number(turn, "turn_key"), part, this.tables.now());
  }

  /** Nothing happens when the turn was ended before; for one that `interrupt` has ended, what that has put behind it is put there again. */
  step(step: NewStep): void {
    const turn = this.find(step.turnId);
    if (turn === undefined || text(turn, "owner") === NOBODY || !this.isKept(turn)) return;
    const { connection, messages, now } = this.tables;
    const turnKey = number(turn, "turn_key");
    let position = this.reopen(turn);
    for (const body of step.bodies) messages.put({ turnKey, position: position++ }, body, false, now());
    connection.run("UPDATE turns SET added = added + ? WHERE turn_key = ?", step.bodies.length, turnKey);
    this.fragments.forget(turnKey);
    for (const callId of step.ended ?? []) this.effects.end(turnKey, callId);
    for (const callId of step.begun ?? []) this.effects.begin(turnKey, callId);
    if (text(turn, "status") !== "running") this.putUnknown(turnKey, position);
  }

  /** Nothing happens when the turn was ended before; one that `interrupt` has ended takes what its owner has to say. */
  end(end: NewEnd): void {
    const { connection, sessions, messages, keys, traces, now } = this.tables;
    const turn = this.find(end.turnId);
    if (turn === undefined || !this.isKept(turn)) {
      if (turn !== undefined) this.delete(turn);
      traces.end(end.trace);
      return;
    }
    if (text(turn, "owner") === NOBODY) return;
    const turnKey = number(turn, "turn_key");
    const position = this.putUnknown(turnKey, this.reopen(turn));
    if (end.answer !== undefined) messages.put({ turnKey, position }, end.answer, end.status !== "completed", now());
    this.finish(turnKey, end.status);
    this.effects.forget(turnKey);
    connection.run("UPDATE turns SET owner = ? WHERE turn_key = ?", NOBODY, turnKey);
    keys.setEnding(turnKey, end.ending);
    const trace = end.answer === undefined ? end.trace.trace : { ...end.trace.trace, assistantMessageId: messageId(end.turnId, position) };
    traces.save({ ...end.trace, trace });
    if (turn["session_key"] !== null) sessions.touch(number(turn, "session_key"));
  }

  /** Ends what an owner that is gone has left running. What its models said so far becomes partial answers. */
  interrupt(owner: string): void {
    const { connection, messages, traces, now } = this.tables;
    for (const turn of connection.all("SELECT * FROM turns WHERE status = 'running' AND owner = ?", owner)) {
      const turnKey = number(turn, "turn_key");
      const isKept = this.isKept(turn);
      const position = isKept ? this.putUnknown(turnKey, endOf(turn)) : 0;
      const said = this.fragments.join(turnKey);
      if (said !== undefined) messages.put({ turnKey, position }, toJson(answerMessage({ ...said, toolCalls: [] })), true, said.createdAt);
      traces.amend(fromColumn(text(turn, "trace_id")), {
        status: "error",
        hadError: true,
        errorMessage: INTERRUPTED_MESSAGE,
        updatedAt: new Date(now()).toISOString(),
        ...(said === undefined ? {} : { assistantMessageId: messageId(fromColumn(text(turn, "turn_id")), position) }),
      });
      // The journal stays: should the owner live after all, it will say how its calls ended.
      if (isKept) this.finish(turnKey, "interrupted");
      else this.delete(turn);
    }
  }

  /** Deletes all turns of a session, with their messages and summaries. */
  empty(sessionKey: number): void {
    this.tables.connection.run("DELETE FROM turns WHERE session_key = ?", sessionKey);
    this.tables.sessions.touch(sessionKey);
  }

  findByKey(key: string): KeptTurn | undefined {
    const turn = this.tables.keys.find(key);
    if (turn === undefined) return undefined;
    return {
      turnId: fromColumn(text(turn, "turn_id")),
      streamId: fromColumn(text(turn, "stream_id")),
      sessionId: turn["session_id"] === null ? undefined : fromColumn(text(turn, "session_id")),
      traceId: fromColumn(text(turn, "trace_id")),
      digest: fromColumn(text(turn, "digest")),
      // Only statuses and endings are ever written to these columns.
      status: text(turn, "status") as TurnStatus,
      ending: turn["ending"] === null ? undefined : (object(turn, "ending") as unknown as TurnEnding),
      messages: this.tables.messages.from({ turnKey: number(turn, "turn_key"), position: number(turn, "given") }),
    };
  }

  find(turnId: string): Row | undefined {
    return this.tables.connection.get("SELECT * FROM turns WHERE turn_id = ?", toColumn(turnId));
  }

  /** A turn of another session, under an id of its own, with its messages. What it gives back is its key. */
  copy(fromTurn: number, turnId: string, sessionKey: number): number {
    this.free(turnId);
    const turn = this.tables.connection.get(
      `INSERT INTO turns (turn_id, session_key, status, owner, trace_id, given, added)
       SELECT ?, ?, status, ?, trace_id, given, added FROM turns WHERE turn_key = ? RETURNING turn_key`,
      toColumn(turnId),
      sessionKey,
      NOBODY,
      fromTurn,
    );
    const turnKey = number(turn ?? {}, "turn_key");
    this.tables.messages.copy(fromTurn, turnKey);
    return turnKey;
  }

  /** Throws when a turn has this id. */
  private free(turnId: string): void {
    if (this.find(turnId) !== undefined) throw turnExists();
  }

  /** Whether anything of it is kept beside its trace. */
  private isKept(turn: Row): boolean {
    return turn["session_key"] !== null || this.tables.keys.has(number(turn, "turn_key"));
  }

  /** Takes away what `interrupt` has put behind a turn whose owner lives after all. Where the next message goes. */
  private reopen(turn: Row): number {
    const position = endOf(turn);
    if (text(turn, "status") !== "running") this.tables.messages.cut({ turnKey: number(turn, "turn_key"), position });
    return position;
  }

  /** Answers the calls that have begun and not ended. Where the next message goes. */
  private putUnknown(turnKey: number, position: number): number {
    let next = position;
    for (const callId of this.effects.of(turnKey)) {
      this.tables.messages.put({ turnKey, position: next++ }, toJson(unknownOutcomeMessage(callId)), false, this.tables.now());
    }
    return next;
  }

  private finish(turnKey: number, status: TurnStatus): void {
    this.fragments.forget(turnKey);
    this.tables.connection.run("UPDATE turns SET status = ? WHERE turn_key = ?", status, turnKey);
  }

  private delete(turn: Row): void {
    this.tables.connection.run("DELETE FROM turns WHERE turn_key = ?", number(turn, "turn_key"));
  }
}

/** Owner of a turn that its process has ended. */
const NOBODY = "";

/** The position behind what its owner has put there. */
function endOf(turn: Row): number {
  return number(turn, "given") + number(turn, "added");
}
