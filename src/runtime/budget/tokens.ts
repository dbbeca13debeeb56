import type { ChatMessage, ToolDescriptor } from "../../contract/model.ts";

/** What model servers add to each message to tell it from the next. */
const PER_MESSAGE = 4;
const PER_TOOL = 8;
/** One image, whatever its size: the address or the base64 text says nothing about it. */
const PER_IMAGE = 1_500;

/**
 * About how many tokens a prompt will take: a cheap guess for reservations and for the question whether a history
 * still fits, no count. Takes time in proportion to the text.
 */
export function estimateTokens(messages: readonly ChatMessage[], tools: readonly ToolDescriptor[] = []): number {
  let tokens = 0;
  for (const message of messages) tokens += PER_MESSAGE + messageTokens(message);
  for (const { function: tool } of tools) tokens += PER_TOOL + textTokens(tool.name) + textTokens(tool.description) + jsonTokens(tool.parameters);
  return Math.ceil(tokens);
}

/** The same of one text, or of one of which only the number of characters is known, as if it were English. */
export function estimateTextTokens(text: string | number): number {
  return Math.ceil(typeof text === "number" ? text / 4 : textTokens(text));
}

function messageTokens({ content, name, toolCalls = [], toolCallId, providerData }: ChatMessage): number {
  let tokens = textTokens(name) + textTokens(toolCallId) + jsonTokens(providerData);
  if (typeof content === "string") tokens += textTokens(content);
  else for (const part of content) tokens += part.type === "text" ? textTokens(part.text) : PER_IMAGE;
  for (const call of toolCalls)
    tokens += PER_TOOL + textTokens(call.id) + textTokens(call.name) + (textTokens(call.argumentsText) || jsonTokens(call.arguments));
  return tokens;
}

function jsonTokens(value: object | undefined): number {
  return value === undefined ? 0 : textTokens(JSON.stringify(value));
}

/** A token is about 4 characters of English, 2 of other alphabets, and 1 of Chinese, Japanese or Korean; half a surrogate pair counts like these. */
function textTokens(text = ""): number {
  let latin = 0;
  let alphabetic = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x100) latin++;
    else if (code < 0x2e80) alphabetic++;
  }
  return latin / 4 + alphabetic / 2 + (text.length - latin - alphabetic);
}
