import { fail, type WireError } from "../errors.ts";

/** Why storage failed: `data.reason` of a `storage` error. */
export type StorageReason = "disk_full" | "io" | "readonly" | "busy" | "corrupt" | "newer" | "foreign" | "unavailable" | "gone" | "closed";

/** A `storage` error. Its message never holds a path, SQL or stored text. */
export function storageFailure(reason: StorageReason, data?: Record<string, unknown>): WireError {
  return fail("storage", { reason, ...data }, messages[reason]);
}

/** The error for a turn whose id is taken. */
export function turnExists(): WireError {
  return fail("invalid_params", { field: "streamId" }, "A stream with this id exists");
}

/** The error for a turn whose idempotency key is taken. */
export function turnKeyExists(): WireError {
  return fail("invalid_params", { field: "idempotencyKey" }, "A turn with this idempotencyKey exists");
}

/** The error for a new session whose id is taken. */
export function sessionExists(): WireError {
  return fail("invalid_params", { field: "newSessionId" }, "A session with this id exists");
}

/** The error for a summary that reaches to a message that the session does not have. */
export function noSuchMessage(): WireError {
  return fail("invalid_params", { field: "through" }, "The session has no message with this id");
}

const messages: Record<StorageReason, string> = {
  disk_full: "The disk that holds the session store is full",
  io: "The session store could not be read or written",
  readonly: "The session store may not be written: the file or its folder is read-only",
  busy: "Another process is holding the session store",
  corrupt: "The session store is damaged, or is not a database; it was left as it is",
  newer: "The session store was written by a newer version of this program; it was left as it is",
  foreign: "The path of the session store belongs to something else: the database of another program, a folder or a device; it was left as it is",
  unavailable: "No SQLite of at least 3.51.3 was found: use Node 22.23 or later, or install the optional dependency @photostructure/sqlite",
  gone: "The file of the session store was deleted, replaced or emptied while it was open",
  closed: "The session store is closed",
};
