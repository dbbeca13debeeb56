/** Everything that waits for the first request that needs it: the catalog, the runtime, the store. */
import type { Config } from "./contract/config.ts";
import type { TraceEvent } from "./contract/model.ts";
import type { StdioListener } from "./listeners/stdio.ts";
import type { Log } from "./log.ts";
import { agentMethods } from "./methods/agent.ts";
import { configMethods } from "./methods/config.ts";
import { createDispatch } from "./methods/dispatch.ts";
import type { Health } from "./methods/health.ts";
import { type ProcessControl, systemMethods } from "./methods/system.ts";
import { toolMethods } from "./methods/tool.ts";
import { traceMethods } from "./methods/trace.ts";
import { loadTools, openStore, providers } from "./registry.ts";
import type { Call } from "./rpc/request.ts";
import type { ConfigService } from "./runtime/config.ts";
import { newId } from "./runtime/ids.ts";
import { Models } from "./runtime/models.ts";
import { Runs } from "./runtime/runs.ts";
import { Sessions } from "./runtime/sessions.ts";
import { ToolCalls } from "./runtime/tool-calls.ts";
import { createToolRegistry } from "./runtime/tools.ts";
import { LiveTraces } from "./runtime/trace.ts";
import { Traces } from "./runtime/traces.ts";
import type { Store } from "./store/store.ts";

export interface AppParts {
  config: ConfigService;
  env: NodeJS.ProcessEnv;
  listener: StdioListener;
  health: Health;
  control: ProcessControl;
  log: Log;
}

export interface App {
  answer(call: Call): unknown;
  runs: Runs;
  /** Undefined until something was stored or looked up. */
  store(): Store | undefined;
}

export async function createApp({ config, env, listener, health, control, log }: AppParts): Promise<App> {
  const now = Date.now;
  const store = storeOnFirstUse(async () => openStore({ path: config.storagePath(), keepTraces: config.current.trace.keep, now }));
  const traces = new LiveTraces();
  const onTraceEvent = (event: TraceEvent) => {
    if (config.current.trace.events) listener.notify("trace.event", event);
  };
  const models = new Models(providers, () => config.current, env);
  const runs = new Runs({
    models,
    store: store.open,
    traces,
    openSink: (streamId) => listener.openSink(streamId),
    maxStreams: config.current.limits.streams,
    onTraceEvent,
    newId,
    now,
    random: Math.random,
    log,
  });
  const registry = createToolRegistry({ tools: await configuredTools(config.current), timeoutMs: config.current.tools.timeoutMs });
  let toolsChanged = Promise.resolve();
  config.onChange((current) => {
    toolsChanged = configuredTools(current).then((tools) => registry.replace(tools, current.tools.timeoutMs));
  });

  health.connect({
    loadedProviders: () => models.loaded,
    loadedTools: () => registry.count,
    activeTraces: () => traces.size,
    storage: () => store.current()?.health() ?? store.failure(),
  });

  const answer = createDispatch({
    ...systemMethods(health, config.current.limits, control),
    ...agentMethods(new Sessions(store.open, newId, (sessionId) => runs.cancelSession(sessionId)), runs, (streamId) => listener.release(streamId)),
    ...toolMethods(new ToolCalls({ registry, store: store.open, traces, onTraceEvent, newId, now, log })),
    ...traceMethods(new Traces(store.open, traces)),
    ...configMethods(config, () => toolsChanged),
  });
  return { answer, runs, store: store.current };

  function configuredTools(current: Config) {
    return loadTools({ enabled: current.tools.builtin, roots: current.tools.roots, now });
  }
}

/** Opens the store when it is first asked for; after a failure the next caller tries again. */
function storeOnFirstUse(open: () => Promise<Store>) {
  let opening: Promise<Store> | undefined;
  let current: Store | undefined;
  let failure: { status: "error"; message: string } | undefined;
  return {
    open: (): Promise<Store> => {
      opening ??= open().then(
        (store) => {
          failure = undefined;
          current = store;
          return store;
        },
        (error: unknown) => {
          opening = undefined;
          failure = { status: "error", message: error instanceof Error ? error.message : "The store could not be opened" };
          throw error;
        },
      );
      return opening;
    },
    current: () => current,
    failure: () => failure,
  };
}
