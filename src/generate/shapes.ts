/** The shapes that have a name of their own in the schema bundle and a section in protocol.md. */
import type * as z from "zod";
import * as model from "../contract/model.ts";
import { ChildProcess, Health } from "../contract/system.ts";
import { Grant } from "../contract/tool.ts";

/** In the order in which protocol.md prints them: what a host needs first comes first. */
export const shapes = {
  Id: model.Id,
  Health,
  AgentSession: model.AgentSession,
  ChatMessage: model.ChatMessage,
  ContentPart: model.ContentPart,
  ToolCall: model.ToolCall,
  ToolDescriptor: model.ToolDescriptor,
  Usage: model.Usage,
  FailureKind: model.FailureKindSchema,
  StoredMessage: model.StoredMessage,
  TurnStatus: model.TurnStatus,
  ToolResult: model.ToolResult,
  ToolFailureKind: model.ToolFailureKind,
  ToolMode: model.ToolMode,
  Grant,
  Budget: model.Budget,
  Spending: model.Spending,
  ChildProcess,
  HarnessTrace: model.HarnessTrace,
  TraceSpan: model.TraceSpan,
  TraceEvent: model.TraceEvent,
  ProviderData: model.ProviderData,
  Cursor: model.Cursor,
  NoParams: model.NoParams,
} satisfies Record<string, z.ZodType>;
