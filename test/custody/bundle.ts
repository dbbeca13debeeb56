import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { root } from "../support/root.ts";
import { temporaryFolder } from "../support/sidecar.ts";

let code: Promise<string> | undefined;

/** A folder with the custody as `custody.cjs`, for processes that have to load it by themselves: Node 20 reads no TypeScript. */
export async function folderWithCustody(): Promise<string> {
  code ??= bundle();
  const folder = temporaryFolder();
  writeFileSync(join(folder, "custody.cjs"), await code);
  return folder;
}

async function bundle(): Promise<string> {
  const built = await rolldown({ input: join(root, "src/custody/create.ts"), platform: "node", logLevel: "silent" });
  const { output } = await built.generate({ format: "cjs", codeSplitting: false });
  await built.close();
  return output[0].code;
}
