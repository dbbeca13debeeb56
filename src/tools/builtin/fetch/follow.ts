import { ToolFailure } from "../../tool.ts";
import type { Reply } from "./connections.ts";
import { checkedUrl } from "./reach.ts";

export interface Followed {
  reply: Reply;
  /** Where it came from. */
  from: URL;
  /** The URLs that led on, the first one first. */
  redirects: string[];
}

/** Goes where redirects lead; each hop is checked like the first. Throws a `ToolFailure`, or what `send` throws. */
export async function follow(first: URL, send: (url: URL) => Promise<Reply>): Promise<Followed> {
  const redirects: string[] = [];
  for (let from = first; ; ) {
    const reply = await send(from);
    const location = redirectStatus.has(reply.statusCode) ? headerOf(reply, "location") : "";
    if (location === "") return { reply, from, redirects };
    discard(reply);
    if (redirects.length === MOST_REDIRECTS) throw new ToolFailure(`The server redirected more than ${MOST_REDIRECTS} times`);
    redirects.push(from.href);
    from = redirectTarget(location, from);
  }
}

/** The value of a header; empty where there is none. */
export function headerOf({ headers }: Reply, name: string): string {
  const value = headers[name] ?? "";
  return Array.isArray(value) ? value.join(", ") : value;
}

export function discard({ body }: Reply): void {
  body.destroy();
}

const MOST_REDIRECTS = 5;
const redirectStatus = new Set([301, 302, 303, 307, 308]);

function redirectTarget(location: string, from: URL): URL {
  try {
    return checkedUrl(location, from);
  } catch (error) {
    if (!(error instanceof ToolFailure)) throw error;
    throw new ToolFailure(`${from.host} redirected to a place that is not followed: ${error.message}`);
  }
}
