import { redactText } from "../../redact.ts";
import type { Assessment } from "../tool.ts";
import { type Finding, NOT_UNDERSTOOD, Run } from "./run.ts";
import { Budget, type Dialect } from "./syntax.ts";

/**
 * Rates the text of a shell command: `other` where nothing dangerous was found, else `destructive`, with
 * what it would do in words for the person who is asked. The text is parsed and gone through as the shell
 * of the platform would; what cannot be parsed, or would take too long to, is dangerous. Never throws.
 */
export function assessCommand(command: string, platform: NodeJS.Platform = process.platform): Assessment {
  // Our own marks are among these; no shell takes them.
  if (command.length > LONGEST || /[\0-\u0002]/.test(command)) return dangerous({ says: NOT_UNDERSTOOD, source: command, certain: false });
  const findings = platform === "win32" ? found(command, "cmd") : [...found(command, "bash"), ...found(command, "dash")];
  const finding = findings.find(({ certain }) => certain) ?? findings[0];
  return finding === undefined ? { mode: "other" } : dangerous(finding);
}

const LONGEST = 1024 * 1024;
/** What going through one command may cost, in steps of which each character is one. */
const STEPS = 4 * 1024 * 1024;
const SHOWN = 120;

function found(command: string, reader: Dialect | "cmd"): Finding[] {
  const run = new Run(reader === "dash" ? "dash" : "bash", new Budget(STEPS));
  try {
    run.text(command, reader === "cmd" ? "cmd" : "shell");
  } catch {
    // Too deep or too long; or, for a text that nobody has thought of, a mistake in here. Either way it is not known what it does.
    run.findings.push({ says: NOT_UNDERSTOOD, source: command, certain: false });
  }
  return run.findings;
}

function dangerous({ says, source }: Finding): Assessment {
  // Cut twice: a secret that the second cut would halve is masked before it.
  const text = redactText(source.slice(0, SHOWN * 32))
    .replace(/\s+/g, " ")
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")
    .trim();
  const shown = [...text];
  return { mode: "destructive", danger: `${says}: ${shown.length > SHOWN ? `${shown.slice(0, SHOWN - 1).join("")}…` : text}` };
}
