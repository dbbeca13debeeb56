import { stat } from "node:fs/promises";
import { homedir } from "node:os";
import nodePath from "node:path";
import type { ContainerStatus } from "../../contract/status.ts";

/** Which credentials are there. */
export type CredentialFiles = ContainerStatus["auth"];

export const NO_CREDENTIALS: CredentialFiles = { claude: false, gemini: false };

/** Looks whether the files are there, and never into them. Never rejects. */
export async function findCredentials(env: NodeJS.ProcessEnv): Promise<CredentialFiles> {
  const home = env["HOME"] || homedir();
  // What cannot be looked at is of no use either.
  const [claude, gemini] = await Promise.all(
    [nodePath.join(home, ".claude", ".credentials.json"), nodePath.join(home, ".gemini")].map((path) => stat(path).catch(() => undefined)),
  );
  return { claude: claude?.isFile() === true, gemini: gemini?.isDirectory() === true };
}
