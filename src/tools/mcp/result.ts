import type { CallToolResult } from "@modelcontextprotocol/client";
import { redactText } from "../../redact.ts";
import { ToolFailure } from "../tool.ts";

/** Most that one result may hold of text, of structured data, and of everything else. Bytes. */
const MOST_BYTES = 1024 * 1024;
/** Characters of an error: it goes to a model as it is. */
const MOST_OF_AN_ERROR = 16 * 1024;

/** What a call of an MCP server's tool came to. */
export interface McpResult {
  /** The text parts, one below the other. */
  text?: string;
  /** `structuredContent` of the server. */
  structured?: unknown;
  /** Images, sounds and resources, in the form of MCP. */
  content?: unknown[];
  /** How many bytes of text were cut off at the end. */
  cutBytes?: number;
  truncated?: true;
  /** What was left out because it is too large. */
  notes?: string[];
}

/** Throws a `ToolFailure` when the server says that the call failed. */
export function resultOfCall(result: CallToolResult): McpResult {
  const text = result.content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
  // Some servers say why in their structured content alone.
  const words = text.trim() === "" && result.structuredContent !== undefined ? JSON.stringify(result.structuredContent) : text;
  if (result.isError === true) throw new ToolFailure(errorText(words));

  const others = result.content.filter((part) => part.type !== "text");
  const kept: unknown[] = [];
  const notes: string[] = [];
  let left = MOST_BYTES;
  for (const part of others) {
    const bytes = sizeOf(part);
    if (bytes <= left) {
      kept.push(part);
      left -= bytes;
    } else {
      notes.push(`${part.type} of ${bytes} bytes left out: a result holds at most ${MOST_BYTES} bytes of them`);
    }
  }

  const { structuredContent } = result;
  const structured = structuredContent !== undefined && sizeOf(structuredContent) <= MOST_BYTES;
  if (structuredContent !== undefined && !structured) notes.push(`structured content of ${sizeOf(structuredContent)} bytes left out`);
  return {
    ...(text !== "" || (kept.length === 0 && !structured) ? cutText(text) : {}),
    ...(structured ? { structured: structuredContent } : {}),
    ...(kept.length > 0 ? { content: kept } : {}),
    ...(notes.length > 0 ? { notes: notes.slice(0, MOST_NOTES) } : {}),
  };
}

/** A server may send any number of parts that are too large. */
const MOST_NOTES = 20;

function errorText(text: string): string {
  const safe = redactText(text);
  if (safe.trim() === "") return "The tool failed without saying why";
  return safe.length > MOST_OF_AN_ERROR ? `${safe.slice(0, MOST_OF_AN_ERROR)}…` : safe;
}

function cutText(text: string): Pick<McpResult, "text" | "truncated" | "cutBytes"> {
  const bytes = Buffer.byteLength(text);
  if (bytes <= MOST_BYTES) return { text };
  const encoded = Buffer.from(text);
  let end = MOST_BYTES;
  // Not in the middle of a character.
  while (end > 0 && ((encoded[end] ?? 0) & 0xc0) === 0x80) end--;
  return { text: encoded.toString("utf8", 0, end), truncated: true, cutBytes: bytes - end };
}

function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value) ?? "");
}
