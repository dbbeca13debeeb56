import type { Config } from "../../contract/config.ts";
import type { Assessment, Tool, ToolMode } from "../../tools/tool.ts";
import { matches } from "../tools/registry.ts";

/** One call, as far as a rule looks at it. */
export interface CallFacts {
  tool: string;
  mode: ToolMode;
  /** What is dangerous about this very call; undefined where nothing is. */
  danger: string | undefined;
}

export interface Verdict {
  decision: "allow" | "ask" | "deny";
  /** For people: what is dangerous about the call, else the rule that decided. */
  reason: string;
}

export function factsOf(tool: Tool, args: Record<string, unknown>): CallFacts {
  const { mode, danger }: Assessment = tool.assess?.(args) ?? { mode: tool.mode };
  return { tool: tool.name, mode, danger };
}

/**
 * What the configuration says of a call. A rule for the tool goes before the rule for its mode, with one
 * exception: leave given to a tool is not meant for its dangerous calls, so their mode decides.
 */
export function judge(policy: Config["policy"], { tool, mode, danger }: CallFacts): Verdict {
  const rule = ruleOf(policy.tools, tool);
  if (rule !== undefined && !(rule.decision === "allow" && danger !== undefined)) {
    return { decision: rule.decision, reason: danger ?? `policy.tools.${rule.pattern} is "${rule.decision}"` };
  }
  const decision = policy.modes[mode];
  return { decision, reason: danger ?? `policy.modes.${mode} is "${decision}"` };
}

/** The exact name goes before patterns, a longer pattern before a shorter one. */
function ruleOf(rules: Config["policy"]["tools"], tool: string): { pattern: string; decision: Verdict["decision"] } | undefined {
  const exact = Object.hasOwn(rules, tool) ? rules[tool] : undefined;
  if (exact !== undefined) return { pattern: tool, decision: exact };
  return Object.entries(rules)
    .filter(([pattern]) => pattern.endsWith("*") && matches(pattern, tool))
    .map(([pattern, decision]) => ({ pattern, decision }))
    .toSorted((a, b) => b.pattern.length - a.pattern.length)[0];
}
