import type { ChatMessage, ContentPart, ToolCall } from "../contract/model.ts";
import { thinkingIn } from "./anthropic-thinking.ts";
import { Inexpressible } from "./attempt.ts";

type Block = Record<string, unknown> & { type: string };
interface Turn {
  role: "user" | "assistant";
  content: Block[];
}

/**
 * A conversation as the Messages API wants it: the system text apart, tool results in the user's
 * turn, the signed thinking of an answer in front of it, turns that alternate, and no empty text
 * anywhere, which the API refuses. Throws `Inexpressible`.
 */
export function encodeConversation(messages: readonly ChatMessage[]): { system: string | undefined; messages: Turn[] } {
  const system = messages.filter((message) => message.role === "system").map((message) => systemText(message.content));
  const turns = merge(messages.filter((message) => message.role !== "system").map(encodeMessage));
  if (turns.length === 0) throw new Inexpressible("There is no message with content that could be sent to the model");
  return { system: system.filter((text) => text.trim() !== "").join("\n\n") || undefined, messages: trimPrefill(turns) };
}

function systemText(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  return content
    .map((part) => {
      if (part.type === "text") return part.text;
      throw new Inexpressible("A system message can hold text only");
    })
    .join("\n");
}

function encodeMessage({ role, content, toolCalls, toolCallId, providerData }: ChatMessage): Turn {
  const blocks = encodeContent(content);
  if (role === "tool") {
    return {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: encodeId(toolCallId ?? ""), ...(blocks.length === 0 ? {} : { content: blocks }) }],
    };
  }
  if (role === "assistant") {
    const said = [...blocks, ...(toolCalls ?? []).map(encodeCall)];
    // Thinking that nothing follows is refused.
    return { role, content: said.length === 0 ? [] : [...thinkingIn(providerData), ...said] };
  }
  return { role: "user", content: blocks };
}

function encodeContent(content: ChatMessage["content"]): Block[] {
  const parts: ContentPart[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
  return parts.flatMap((part): Block[] => {
    if (part.type === "image_url") return [{ type: "image", source: encodeImage(part.image_url.url) }];
    return part.text.trim() === "" ? [] : [{ type: "text", text: part.text }];
  });
}

function encodeCall(call: ToolCall): Block {
  return { type: "tool_use", id: encodeId(call.id), name: call.name, input: call.arguments };
}

/** Ids of other servers (`functions.weather:0`) hold characters that are refused here. */
function encodeId(id: string): string {
  return id.replace(/[^\w-]/g, "_");
}

function encodeImage(url: string): Block {
  if (/^https?:\/\//i.test(url)) return { type: "url", url };
  const data = /^data:([\w.+-]+\/[\w.+-]+)((?:;[\w.+-]+=[^;,]*)*)(;base64)?,/i.exec(url);
  if (data === null) throw new Inexpressible("An image must be an http(s) address or a data: URL with its type");
  const [head, mediaType, , base64] = data;
  return {
    type: "base64",
    media_type: mediaType?.toLowerCase(),
    data: base64 === undefined ? toBase64(url.slice(head.length)) : url.slice(head.length),
  };
}

function toBase64(percentEncoded: string): string {
  try {
    return Buffer.from(decodeURIComponent(percentEncoded), "utf8").toString("base64");
  } catch {
    throw new Inexpressible("An image's data: URL is not well formed");
  }
}

/** Turns with nothing in them vanish, neighbours of one role become one, and tool results and thinking come first in theirs. */
function merge(turns: readonly Turn[]): Turn[] {
  const merged: Turn[] = [];
  for (const turn of turns) {
    const last = merged.at(-1);
    if (turn.content.length === 0) continue;
    if (last?.role === turn.role) last.content.push(...turn.content);
    else merged.push({ role: turn.role, content: [...turn.content] });
  }
  return merged.map(({ role, content }) => ({
    role,
    content: [...content.filter((block) => leading.has(block.type)), ...content.filter((block) => !leading.has(block.type))],
  }));
}

/** What the API wants at the start of a turn. */
const leading = new Set(["tool_result", "thinking", "redacted_thinking"]);

/** An answer that the model is to go on with must not end in white space. */
function trimPrefill(turns: Turn[]): Turn[] {
  const last = turns.at(-1);
  const block = last?.content.at(-1);
  if (last?.role === "assistant" && typeof block?.["text"] === "string") block["text"] = block["text"].trimEnd();
  return turns;
}
