/** Types for the parts of undici that are imported by file: the whole package takes four times as long to load. */
declare module "undici/lib/dispatcher/agent.js" {
  import { Agent } from "undici";
  export default Agent;
}

declare module "undici/lib/dispatcher/pool.js" {
  import { Pool } from "undici";
  export default Pool;
}

declare module "undici/lib/dispatcher/proxy-agent.js" {
  import { ProxyAgent } from "undici";
  export default ProxyAgent;
}

declare module "undici/lib/api/api-connect.js" {
  import type { Dispatcher } from "undici";

  function connect(this: Dispatcher, request: Dispatcher.ConnectOptions): Promise<Dispatcher.ConnectData>;
  export default connect;
}

declare module "undici/lib/dispatcher/client-h1.js" {
  /** Compiles the parser when it is not yet there, then throws when the socket is destroyed. */
  function connectH1(client: object, socket: { destroyed: boolean }): object;
  export default connectH1;
}
