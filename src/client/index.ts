/** `steerable-sidecar/client`: starts a sidecar from a Node host, keeps it running, and talks to it. */
export type { ListenInfo } from "./child.ts";
export type { CallOptions } from "./deadline.ts";
export { SidecarError, type SidecarErrorKind } from "./error.ts";
export type { StreamChunk, StreamEnd } from "./feed.ts";
export type { ApprovalAnswer, ApprovalRequest, HostOptions } from "./host.ts";
export type { HostTool, HostToolCall, HostToolRegistration } from "./host-tools.ts";
export type { HealthOptions, RestartOptions, SpawnOptions, StopOptions } from "./options.ts";
export { NewlineMessageReader } from "./reader.ts";
export { type CallArguments, Sidecar, type SidecarEvents, type SidecarNotification, spawn } from "./sidecar.ts";
export type { StopMeans, StopReport } from "./stop.ts";
export { type ChatResult, ChatStream, type SteerContent } from "./stream.ts";
export type { SidecarExit } from "./supervisor.ts";
export type { ChatToolCall } from "./tool-calls.ts";
export { NewlineMessageWriter } from "./writer.ts";
export type {
  CallParams,
  HostRequestName,
  HostRequestParams,
  HostRequestResult,
  MethodName,
  NotificationName,
  NotificationParams,
  Result,
} from "../contract/index.ts";
