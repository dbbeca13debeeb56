/** The shapes that have a name of their own in `components/schemas`. */
import type * as z from "zod";
import * as completions from "../../contract/http/completions.ts";
import * as container from "../../contract/http/container.ts";
import * as context from "../../contract/http/context/sessions.ts";
import * as tasks from "../../contract/http/context/tasks.ts";
import { ErrorBody } from "../../contract/http/errors.ts";
import * as sessions from "../../contract/http/sessions.ts";
import { shapes } from "../shapes.ts";

/** Those of HTTP are taken from the route that is the reason for them. */
export const httpShapes = {
  ...shapes,
  Error: ErrorBody,
  Completion: completions.oneShot.response,
  CompletionRequest: completions.oneShot.request.body,
  Session: sessions.create.response,
  ContextSession: context.create.response,
  ContextTask: tasks.dispatch.request.body,
  ContainerStatus: container.status.response,
} satisfies Record<string, z.ZodType>;
