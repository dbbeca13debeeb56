import type { Failure } from "../../errors.ts";
import { redactText } from "../../redact.ts";
import { isRetryable } from "./retry.ts";

/** A failure as hosts are told: in `stream.error`, and in the `data` of an error. */
export function failureFacts(failure: Failure) {
  const { kind, message, status, retryAfterMs } = failure;
  return {
    kind,
    message: redactText(message),
    ...(status === undefined ? {} : { status }),
    retryable: isRetryable(failure),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}
