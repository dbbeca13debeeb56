/** What the container says of itself. The names are those of the sleeve sidecar, so that its readers need no others. */
import * as z from "zod";
import { method } from "./define.ts";
import { NoParams } from "./model.ts";

const count = z.int().min(0);

const Figures = z.object({
  pid: z.int().min(1),
  uptime_seconds: count.describe("Since it was started."),
  memory_mb: count.describe("Resident memory in MiB, rounded."),
});

const Cstack = z
  .object({
    exists: z.boolean().describe("Whether the workspace has a folder `.cstack`."),
    open: count,
    ready: count,
    in_progress: count,
    blocked: count,
    closed: count,
    total: count.describe("As `cs` says; the sum of the others where it does not."),
  })
  .describe("Tasks, as `cs stats --json` counts them; zeros where it is missing, fails or takes longer than two seconds. At most 5 seconds old.");

export const ContainerStatus = z.object({
  sleeve_name: z.string().describe("`SLEEVE_NAME`; the name of the machine where that is not set."),
  dhf: z
    .object({
      name: z.enum(["claude", "gemini", "codex", "aider", "opencode"]).nullable().describe("Null where none is found on `PATH`."),
      version: z.string().nullable().describe("Null where it does not say within two seconds."),
    })
    .describe("The coding agent of the container: the first in this order that answers `--version`, else the first there is."),
  workspace: z.object({
    path: z.string().describe("`WORKSPACE_PATH`, or `/home/claude/workspace`."),
    cstack: Cstack,
  }),
  process: Figures.describe("Process 1, which is that of the container; the sidecar itself where the system does not tell."),
  sidecar: Figures.describe("The sidecar itself."),
  auth: z
    .object({
      claude: z.boolean().describe("There is a file `~/.claude/.credentials.json`."),
      gemini: z.boolean().describe("There is a folder `~/.gemini`."),
    })
    .describe("Whether credentials are there; they are not read. At most 30 seconds old."),
});
export type ContainerStatus = z.output<typeof ContainerStatus>;

export const status = method({
  name: "system.status",
  scope: "read",
  summary:
    "What the container is and does: its coding agent, its workspace, its processes. It takes two seconds at most; what cannot be found out by then counts as absent.",
  params: NoParams,
  result: ContainerStatus,
  errors: [],
  example: {
    result: {
      sleeve_name: "alice",
      dhf: { name: "claude", version: "2.1.20" },
      workspace: {
        path: "/home/claude/workspace",
        cstack: { exists: true, open: 5, ready: 2, in_progress: 1, blocked: 0, closed: 42, total: 50 },
      },
      process: { pid: 1, uptime_seconds: 3600, memory_mb: 512 },
      sidecar: { pid: 42, uptime_seconds: 3590, memory_mb: 71 },
      auth: { claude: true, gemini: false },
    },
  },
});
