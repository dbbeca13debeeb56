/** What a container says of itself. */
import { status as systemStatus } from "../status.ts";
import { route } from "./define.ts";

export const status = route({
  surface: "container",
  verb: "GET",
  path: "/status",
  summary: "The container's report on itself: its agent CLI, task stack, process and credentials.",
  method: "system.status",
  public: "status",
  request: {},
  status: 200,
  response: systemStatus.result,
  params: () => ({}),
  reply: (result) => result,
  example: { response: systemStatus.example.result },
});
