import type { CallParams } from "../contract/index.ts";
import { errorTable } from "../errors.ts";
import { after, type CallOptions, type Limits, limited, limitsOf, since } from "./deadline.ts";
import { SidecarError, transportClosed } from "./error.ts";
import { Feed } from "./feed.ts";
import { isRecord, type Peer } from "./peer.ts";
import { ChatStream, type SteerContent } from "./stream.ts";
import type { Streams } from "./streams.ts";

/** How long the sidecar may take to end a stream that was cancelled; then it ends here without it. */
const CANCEL_MS = 5_000;

/**
 * Starts a turn and gives its stream at once; all that goes wrong shows there. `limits` are those
 * of the acknowledgement, and its signal also cancels the stream later.
 */
export function startTurn(
  streams: Streams,
  connect: (limits: Limits) => Peer | Promise<Peer>,
  params: CallParams<"agent.chat.stream">,
  limits: Limits,
): ChatStream {
  const feed = new Feed();
  const { signal } = limits;
  const start = new AbortController();
  // Until the sidecar has named the stream, cancelling it means cancelling the request for it.
  let stopIt = () => start.abort(signal?.reason);
  const cancel = () => {
    if (feed.closed || feed.cancelled) return;
    feed.cancelled = true;
    stopIt();
  };

  const run = async (): Promise<{ peer: Peer; streamId: string }> => {
    const startLimits = { signal: start.signal, timeoutMs: limits.timeoutMs };
    const peer = await connect(startLimits);
    streams.expect();
    try {
      const onLate = (reply: unknown) => cancelStream(peer, streamIdIn(reply));
      const streamId = streamIdIn(await peer.request("agent.chat.stream", params, { ...startLimits, onLate }));
      if (streamId === undefined) throw new SidecarError(errorTable.internal.code, "internal", "The sidecar's reply names no stream");
      stopIt = () => {
        cancelStream(peer, streamId);
        endLater(feed);
      };
      feed.open(streamId);
      streams.add(streamId, feed);
      // The signal may have come between the reply and this line.
      if (feed.cancelled && !feed.closed) stopIt();
      return { peer, streamId };
    } finally {
      streams.expectLess();
    }
  };

  signal?.addEventListener("abort", cancel, { once: true });
  const release = () => signal?.removeEventListener("abort", cancel);
  feed.ended.then(release, release);
  if (signal?.aborted) cancel();
  const started = run();
  started.catch((error: unknown) => feed.lose(error instanceof SidecarError ? error : transportClosed("The stream could not be started")));

  const steer = async (content: SteerContent, options: CallOptions): Promise<void> => {
    const begun = performance.now();
    const steerLimits = limitsOf(options);
    const { peer, streamId } = await limited("agent.chat.steer", steerLimits, () => started);
    const steering: CallParams<"agent.chat.steer"> = { streamId, content };
    await peer.request("agent.chat.steer", steering, since(begun, steerLimits));
  };
  return new ChatStream(feed, { cancel, steer });
}

/** Best effort: the terminal is what counts. */
function cancelStream(peer: Peer, streamId: string | undefined): void {
  if (streamId === undefined) return;
  peer.request("agent.chat.cancel", { streamId }, { timeoutMs: CANCEL_MS, background: true }).catch(() => undefined);
}

function endLater(feed: Feed): void {
  const timer = after(CANCEL_MS, () => feed.finish({ ok: false, cancelled: true })).unref();
  const release = () => clearTimeout(timer);
  feed.ended.then(release, release);
}

function streamIdIn(reply: unknown): string | undefined {
  const streamId = isRecord(reply) ? reply["streamId"] : undefined;
  return typeof streamId === "string" ? streamId : undefined;
}
