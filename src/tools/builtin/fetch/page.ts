import { ToolFailure } from "../../tool.ts";
import { readBody } from "./body.ts";
import { openConnections, type Reply } from "./connections.ts";
import { discard, follow, headerOf } from "./follow.ts";
import { isHtml, isText, mediaOf, textOf } from "./media.ts";
import type { Reach } from "./reach.ts";
import { readable } from "./readable.ts";

export interface PageRequest {
  url: URL;
  method: "GET" | "HEAD";
  headers: Readonly<Record<string, string>>;
  /** Of the body, decompressed. */
  maxBytes: number;
  /** Give HTML as it is. */
  raw: boolean;
}

/** What `fetch_url` returns, whatever the status. */
export interface FetchedPage {
  /** Where the answer came from. */
  url: string;
  status: number;
  /** As the server says; empty where it does not. */
  contentType: string;
  /** Of an HTML page, unless `raw` is set: what is to be read, with a little Markdown. Empty for HEAD. */
  text: string;
  /** There was more than `maxBytes`. */
  truncated: boolean;
  /** The URLs that led on, the first one first. */
  redirects?: string[];
  title?: string;
  /** For `if-none-match` and `if-modified-since`. */
  etag?: string;
  lastModified?: string;
  /** As the server says, for HEAD. */
  contentLength?: number;
}

/** Fetches a page, over redirects. Throws a `ToolFailure`, or the reason of the signal. */
export async function fetchPage(request: PageRequest, reach: Reach, signal: AbortSignal): Promise<FetchedPage> {
  const connections = openConnections(reach, signal);
  try {
    const { reply, from, redirects } = await follow(request.url, (url) => connections.send(url, request.method, request.headers));
    const page = await pageOf(reply, from, request, signal);
    return redirects.length === 0 ? page : { ...page, redirects };
  } finally {
    await connections.close();
  }
}

/** Answers that have no body by their nature. */
const bodiless = new Set([204, 205, 304]);

async function pageOf(reply: Reply, from: URL, { maxBytes, method, raw }: PageRequest, signal: AbortSignal): Promise<FetchedPage> {
  const contentType = headerOf(reply, "content-type").slice(0, 200);
  const page: FetchedPage = { url: from.href, status: reply.statusCode, contentType, text: "", truncated: false, ...validators(reply) };
  const length = Number(headerOf(reply, "content-length") || Number.NaN);
  if (method === "HEAD" || bodiless.has(reply.statusCode)) {
    discard(reply);
    return method === "HEAD" && Number.isSafeInteger(length) ? { ...page, contentLength: length } : page;
  }
  const media = mediaOf(contentType);
  if (media.type !== "" && !isText(media, Buffer.alloc(0))) {
    discard(reply);
    throw notText(page, Number.isSafeInteger(length) ? length : undefined);
  }
  const { bytes, truncated } = await readBody(reply.body, headerOf(reply, "content-encoding"), maxBytes, signal);
  if (!isText(media, bytes)) throw notText(page, undefined);
  const text = textOf(bytes, media, truncated);
  if (raw || !isHtml(media)) return { ...page, text, truncated };
  const { title, text: said } = await readable(text, from, signal);
  return { ...page, text: said, truncated, ...(title === undefined ? {} : { title }) };
}

function notText({ status, contentType }: FetchedPage, bytes: number | undefined): ToolFailure {
  const size = bytes === undefined ? "" : `, ${bytes} bytes`;
  return new ToolFailure(`The answer is not text: status ${status}, ${contentType === "" ? "of unknown type" : contentType}${size}`);
}

function validators(reply: Reply): Pick<FetchedPage, "etag" | "lastModified"> {
  const [etag, lastModified] = [headerOf(reply, "etag"), headerOf(reply, "last-modified")];
  return { ...(etag === "" ? {} : { etag }), ...(lastModified === "" ? {} : { lastModified }) };
}
