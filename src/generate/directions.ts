import { notifications } from "../contract/index.ts";

export type Direction = "toHost" | "toSidecar";

/** Which ways a notification goes: requests of either side are cancelled with the same one. */
export function directionsOf({ name, direction }: { name: string; direction: Direction }): readonly Direction[] {
  return name === notifications["$/cancelRequest"].name ? ["toSidecar", "toHost"] : [direction];
}
