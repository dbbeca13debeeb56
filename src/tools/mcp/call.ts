import type { CallToolResult } from "@modelcontextprotocol/client";
import { type ToolCallContext, ToolFailure } from "../tool.ts";
import { deadline, until } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import { callFailure, isSessionOver, isTimeout, isUnreachable } from "./failures.ts";
import type { Library } from "./remote.ts";
import { type McpResult, resultOfCall } from "./result.ts";

/** Where a call goes: the server that keeps the connection. */
export interface Callee {
  readonly library: Library | undefined;
  /** Rejects with a `ToolFailure` when the server cannot be used. */
  use(): Promise<Connection>;
  drop(connection: Connection, error: unknown): void;
}

export interface Call {
  server: string;
  /** As the server calls it. */
  tool: string;
  /** Of the whole call, the start of the server included. */
  timeoutMs: number;
}

/** Calls a tool. Rejects with a `ToolFailure` only. */
export async function callOn(callee: Callee, call: Call, args: Record<string, unknown>, context: ToolCallContext): Promise<McpResult> {
  const timeoutMs = Math.min(call.timeoutMs, context.timeoutMs);
  const late = () => new ToolFailure(`MCP server "${call.server}" did not answer within ${timeoutMs} ms`, "timeout");
  const limit = deadline(timeoutMs, late, context.signal);
  try {
    return resultOfCall(await answer(callee, call.tool, args, limit.signal, timeoutMs));
  } catch (error) {
    if (isTimeout(error, callee.library)) throw late();
    if (limit.signal.aborted) throw new ToolFailure("The call was cancelled", "cancelled");
    throw callFailure(error, callee.library, call.server);
  } finally {
    limit.clear();
  }
}

async function answer(
  callee: Callee,
  tool: string,
  args: Record<string, unknown>,
  signal: AbortSignal,
  timeoutMs: number,
  again = false,
): Promise<CallToolResult> {
  const connection = await until(callee.use(), signal);
  try {
    return await connection.callTool(tool, args, signal, timeoutMs);
  } catch (error) {
    const { library } = callee;
    if (isTimeout(error, library)) void connection.check();
    if (signal.aborted || library === undefined || !connection.remote) throw error;
    const over = isSessionOver(error, library);
    if (over || isUnreachable(error, library)) callee.drop(connection, error);
    if (!over || again) throw error;
    return await answer(callee, tool, args, signal, timeoutMs, true);
  }
}
