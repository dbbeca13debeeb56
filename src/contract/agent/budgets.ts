import * as z from "zod";
import { method } from "../define.ts";
import { Budget, Id, Spending } from "../model.ts";

const BudgetState = z.object({ used: Spending, limits: Budget });

export const get = method({
  name: "agent.budget.get",
  scope: "read",
  summary: "What was used of the budgets, and their limits.",
  params: z
    .object({ sessionId: Id.optional() })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.object({
    process: BudgetState.describe("All turns, also those of earlier runs on the same database."),
    session: BudgetState.optional().describe("All turns of the session, where one was named."),
  }),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  example: {
    result: { process: { used: { tokens: 1200, steps: 3, toolCalls: 1, costUsd: 0.004, wallMs: 5100 }, limits: { maxTokens: 1_000_000 } } },
  },
});

export const reset = method({
  name: "agent.budget.reset",
  scope: "write",
  summary:
    "Sets what was used back to nothing: of the session that is named, else of the process, which takes the scope `admin`. What runs at the moment stays counted.",
  params: z
    .object({ sessionId: Id.optional() })
    .nullish()
    .transform((params) => params ?? {}),
  result: z.null(),
  touches: { session: ({ sessionId }) => sessionId },
  errors: ["session_not_found", "storage"],
  example: { params: { sessionId: "sess_V1StGXR8Z5jdHi6B" }, result: null },
});
