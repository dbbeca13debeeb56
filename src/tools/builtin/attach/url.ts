import { redactText } from "../../../redact.ts";
import { VERSION } from "../../../version.ts";
import { AttachmentRefusal } from "../../attachment.ts";
import { readBody } from "../fetch/body.ts";
import { openConnections } from "../fetch/connections.ts";
import { discard, follow, headerOf } from "../fetch/follow.ts";
import { isHtml, isText, type Media, mediaOf, textOf } from "../fetch/media.ts";
import { checkedUrl, type Reach } from "../fetch/reach.ts";
import { readable } from "../fetch/readable.ts";
import { isPdf, type Kind, kindOf } from "./kind.ts";
import { refusalOf, shownName, tooLarge } from "./names.ts";
import type { NamedBytes } from "./path.ts";

export interface Fetched extends NamedBytes {
  kind: Kind;
}

/** What an address answers with; web pages as text to be read. Rejects with an `AttachmentRefusal`, or the reason of the signal. */
export async function readUrl(given: string, reach: Reach, mostBytes: number, signal: AbortSignal): Promise<Fetched> {
  try {
    return await fetched(checkedUrl(given), reach, mostBytes, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw refusalOf(error);
  }
}

async function fetched(url: URL, reach: Reach, mostBytes: number, signal: AbortSignal): Promise<Fetched> {
  const name = shownName(redactText(url.href));
  const connections = openConnections(reach, signal);
  try {
    const { reply, from } = await follow(url, (next) => connections.send(next, "GET", headers));
    if (reply.statusCode < 200 || reply.statusCode > 299) {
      discard(reply);
      throw new AttachmentRefusal("unavailable", `${from.host} answered with status ${reply.statusCode}`);
    }
    const encoding = headerOf(reply, "content-encoding");
    if (encoding === "" && Number(headerOf(reply, "content-length")) > mostBytes) {
      discard(reply);
      throw tooLarge(name, mostBytes);
    }
    const { bytes, truncated } = await readBody(reply.body, encoding, mostBytes, signal);
    if (truncated) throw tooLarge(name, mostBytes);
    return { name, bytes, kind: await kindOnTheWeb(bytes, mediaOf(headerOf(reply, "content-type")), from, signal) };
  } finally {
    await connections.close();
  }
}

const headers = {
  accept: "text/html,application/xhtml+xml,text/*,image/png,image/jpeg,image/gif,image/webp,*/*;q=0.5",
  "user-agent": `steerable-sidecar/${VERSION}`,
  "accept-encoding": "gzip, br",
};

/** The server says more about text than its bytes do: whether it is a page, and in which charset it is. */
async function kindOnTheWeb(bytes: Buffer, media: Media, from: URL, signal: AbortSignal): Promise<Kind> {
  const kind = kindOf(bytes);
  if (kind.type === "image" || isPdf(bytes)) return kind;
  const isPage = isHtml(media) || (media.type === "" && kind.type === "text" && pageStart.test(kind.text));
  if (!isPage && (media.type === "" || !isText(media, bytes))) return kind;
  const decoded = textOf(bytes, media, false);
  // It is not what the server says, or in another charset: then the bytes count by themselves.
  if ((isPage ? /\0/ : garbage).test(decoded)) return kind;
  if (!isPage) return { type: "text", text: decoded };
  const { title, text } = await readable(decoded, from, signal);
  return { type: "text", text: title === undefined ? text : `Title: ${title}\n\n${text}` };
}

const pageStart = /^\s*<(?:!doctype html|html)[\s>]/i;
/** What no text holds: control characters beside white space and escapes, and what could not be decoded. */
const garbage = /[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]/;
