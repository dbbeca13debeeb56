import type { McpServer } from "../../contract/config.ts";
import type { Program } from "../../custody/custody.ts";

/** A server that is a program of this machine. */
export type StdioServer = McpServer & { command: string };

/** What a program needs to run, and nothing that could be a secret. */
const inherited = "PATH HOME USER LANG TMPDIR SHELL TERM";
const inheritedOnWindows =
  "PATH PATHEXT COMSPEC SYSTEMROOT SYSTEMDRIVE WINDIR TEMP TMP APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES PROGRAMFILES(X86) USERPROFILE USERNAME HOMEDRIVE HOMEPATH";

/** How a stdio server is started. */
export function programOf(name: string, server: StdioServer, env: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): Program {
  return {
    ...commandLine(server.command, server.args, env, platform),
    cwd: server.cwd,
    env: { ...fewOf(env, platform), ...server.env },
    kind: "mcp",
    name,
  };
}

function fewOf(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): Record<string, string> {
  const wanted = new Set((platform === "win32" ? inheritedOnWindows : inherited).split(" "));
  const few: Record<string, string> = {};
  for (const [key, value] of Object.entries(env)) {
    // Windows does not tell PATH from Path.
    if (value !== undefined && wanted.has(platform === "win32" ? key.toUpperCase() : key)) few[key] = value;
  }
  return few;
}

/**
 * Windows starts nothing but programs by itself: `npx` and its like are scripts, and only cmd.exe finds
 * and runs those. Everything is quoted twice, for the script and for cmd.exe. (Tested as text only.)
 */
function commandLine(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform,
): Pick<Program, "command" | "args" | "verbatim"> {
  if (platform !== "win32" || /\.(?:exe|com)$/i.test(command)) return { command, args };
  const line = [command.replace(META, "^$&"), ...args.map(quoted)].join(" ");
  const shell = Object.entries(env).find(([key]) => key.toUpperCase() === "COMSPEC")?.[1] ?? "cmd.exe";
  return { command: shell, args: ["/d", "/s", "/c", `"${line}"`], verbatim: true };
}

/** What means something to cmd.exe. */
const META = /[()\][%!^"`<>&|;, *?]/g;

function quoted(arg: string): string {
  // Backslashes count only before a quote.
  const text = arg.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1");
  return `"${text}"`.replace(META, "^$&");
}
