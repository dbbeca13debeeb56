/** `steerable-sidecar/client`: starts a sidecar from a Node host, keeps it running, and talks to it. */
export { SidecarError, type SidecarErrorKind } from "./error.ts";
export type { StreamChunk, StreamEnd } from "./feed.ts";
export type { HealthOptions, RestartOptions, SpawnOptions, StopOptions } from "./options.ts";
export { NewlineMessageReader } from "./reader.ts";
export { type CallArguments, type CallOptions, Sidecar, type SidecarEvents, type SidecarNotification, spawn } from "./sidecar.ts";
export type { StopMeans, StopReport } from "./stop.ts";
export { ChatStream } from "./stream.ts";
export type { SidecarExit } from "./supervisor.ts";
export { NewlineMessageWriter } from "./writer.ts";
export type { CallParams, MethodName, NotificationName, NotificationParams, Result } from "../contract/index.ts";
