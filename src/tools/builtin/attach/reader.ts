import { type Attachment, AttachmentRefusal, type AttachmentReader } from "../../attachment.ts";
import { type Reach, reachOf } from "../fetch/reach.ts";
import { type Kind, kindOf } from "./kind.ts";
import { readPath } from "./path.ts";

export interface AttachmentOptions {
  /** Absolute paths of the folders that files may be read from. */
  roots: readonly string[];
  fetch: {
    /** Let addresses be asked that are not public. */
    allowPrivate: boolean;
  };
}

/** Files by the rules of `read_file`, addresses by those of `fetch_url`. `reach` says what may be asked; tests pass their own. */
export function attachmentReader({ roots, fetch }: AttachmentOptions, reach: Reach = reachOf(fetch.allowPrivate)): AttachmentReader {
  return {
    async readPath(path, mostBytes, signal) {
      const { name, bytes } = await readPath(path, roots, mostBytes, signal);
      return attachmentOf(name, bytes, kindOf(bytes));
    },
    async readUrl(url, mostBytes, signal) {
      const { readUrl } = await import("./url.ts");
      const { name, bytes, kind } = await readUrl(url, reach, mostBytes, signal);
      return attachmentOf(name, bytes, kind);
    },
  };
}

function attachmentOf(name: string, bytes: Buffer, kind: Kind): Attachment {
  if (kind.type === "text") return { type: "text", name, bytes: bytes.length, text: kind.text };
  if (kind.type === "image") return { type: "image", name, bytes: bytes.length, mediaType: kind.mediaType, base64: bytes.toString("base64") };
  throw new AttachmentRefusal("unsupported", `${name} is ${kind.what ?? "binary data"}; text in UTF-8 and images (PNG, JPEG, GIF, WebP) can be attached`);
}
