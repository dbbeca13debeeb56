import { VERSION } from "../../version.ts";
import { type Tool, ToolFailure } from "../tool.ts";
import type { FetchedPage } from "./fetch/page.ts";
import { checkedUrl, type Reach, reachOf } from "./fetch/reach.ts";

interface Arguments {
  url: string;
  maxBytes?: number;
  method?: "GET" | "HEAD";
  headers?: Record<string, string>;
  raw?: boolean;
}

/**
 * `fetch_url {url, maxBytes?, method?, headers?, raw?}`: a text from the web. Mode "other", because a
 * request can carry out what its URL holds. `reach` says what else than the public internet may be
 * asked; tests pass their own.
 */
export function fetchUrl({ allowPrivate }: { allowPrivate: boolean }, reach: Reach = reachOf(allowPrivate)): Tool {
  return {
    name: "fetch_url",
    description:
      "Fetches a text over http or https: web pages as readable text, JSON and other text as it is. Any status is a result. No cookies, no passwords, and scripts are not run.",
    mode: "other",
    parameters: {
      type: "object",
      properties: {
        url: { type: "string", minLength: 1, description: "The whole URL." },
        maxBytes: { type: "integer", minimum: 1, maximum: MOST_BYTES, description: "Bytes of the body to read at most; 1 MiB when left out." },
        method: { enum: ["GET", "HEAD"], description: "GET when left out." },
        headers: { type: "object", additionalProperties: { type: "string" }, description: `Of these: ${[...allowedHeaders].join(", ")}.` },
        raw: { type: "boolean", description: "Give the source of an HTML page instead of its readable text; false when left out." },
      },
      required: ["url"],
      additionalProperties: false,
    },
    async run(args, { signal }): Promise<FetchedPage> {
      const given = args as unknown as Arguments;
      const { method = "GET", maxBytes = DEFAULT_BYTES, raw = false } = given;
      const request = { url: checkedUrl(given.url), method, headers: requestHeaders(given.headers ?? {}), maxBytes: Math.min(maxBytes, MOST_BYTES), raw };
      signal.throwIfAborted();
      const { fetchPage } = await import("./fetch/page.ts");
      return await fetchPage(request, reach, signal);
    },
  };
}

const MOST_BYTES = 5 * 1024 * 1024;
const DEFAULT_BYTES = 1024 * 1024;
/** Headers that say who one is or where one comes from are not among them. */
const allowedHeaders = new Set(["accept", "accept-language", "user-agent", "if-none-match", "if-modified-since", "cache-control"]);

function requestHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {
    accept: "text/html,application/xhtml+xml,application/json,text/*;q=0.9,*/*;q=0.5",
    "user-agent": `steerable-sidecar/${VERSION}`,
    "accept-encoding": "gzip, br",
  };
  for (const [name, value] of Object.entries(given)) {
    const lower = name.toLowerCase();
    if (!allowedHeaders.has(lower)) {
      throw new ToolFailure(`The header ${JSON.stringify(name.slice(0, 64))} cannot be set; only ${[...allowedHeaders].join(", ")} can`, "invalid_params");
    }
    if (!/^[\t\x20-\x7e]{0,1024}$/.test(value)) throw new ToolFailure(`The value of the header ${lower} cannot be sent`, "invalid_params");
    headers[lower] = value;
  }
  return headers;
}
