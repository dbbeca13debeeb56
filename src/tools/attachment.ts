/** The port for files that are given along with a turn. */

/** A file as a model can be given it. `name` is for the model and for messages: never an absolute path. */
export type Attachment = { name: string; bytes: number } & ({ type: "text"; text: string } | { type: "image"; mediaType: string; base64: string });

/**
 * Gets files. Both reject with an `AttachmentRefusal`, or with the reason of the signal soon after it is
 * aborted. `mostBytes`: of the content; of what came over HTTP, decompressed.
 */
export interface AttachmentReader {
  /** A regular file inside the roots. */
  readPath(path: string, mostBytes: number, signal: AbortSignal): Promise<Attachment>;
  /** What an address answers with. */
  readUrl(url: string, mostBytes: number, signal: AbortSignal): Promise<Attachment>;
}

/** `unavailable`: not there, not to be read, or not to be reached. `unsupported`: nothing that a model can be given. */
export type RefusalReason = "unavailable" | "too_large" | "unsupported";

/** Why a file cannot be attached, in words for the caller: without absolute paths and secrets. */
export class AttachmentRefusal extends Error {
  override name = "AttachmentRefusal";
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.reason = reason;
  }
}
